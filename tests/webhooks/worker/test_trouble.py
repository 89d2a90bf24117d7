"""Trouble: logged when it begins, when it changes, and once a minute."""

from pinwheel_async.webhooks._worker.trouble import Trouble


def test_news():
    """The same trouble is news once a minute, another one at once, and again after an end."""
    trouble = Trouble()
    told = [(text, now) for now in range(130) for text in ["a"] if trouble.is_news(text, now)]
    others = [trouble.is_news(text, 130) for text in "bbaa"]
    ends = [trouble.end(), trouble.end()]

    assert [("a", 0), ("a", 60), ("a", 120)] == told
    assert [True, False, True, False] == others
    assert [True, False] == ends
    assert trouble.is_news("a", 130)
