"""Control of the fake over HTTP: JSON endpoints, a page, and the stand-in for Link."""
