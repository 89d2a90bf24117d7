// Stand-in for Pinwheel's script: `Pinwheel.open({linkToken, onEvent, ...})` and `Pinwheel.close()`, with a dialog of the
// fake in place of Link. Put its address into a page where that of https://cdn.getpinwheel.com/pinwheel-v3.0.js stands.
"use strict";

(() => {
  const origin = new URL(document.currentScript.src).origin;
  const callbacks = { login_attempt: "onLoginAttempt", login: "onLogin", success: "onSuccess", error: "onError", exit: "onExit" };
  let current = null;

  function receive(event) {
    if (!current || event.source !== current.frame.contentWindow || event.origin !== origin) return;
    const { pinwheel: name, payload } = event.data;
    const { options } = current;
    options.onEvent?.(name, payload);
    options[callbacks[name]]?.(payload);
    if (name === "exit") close();
  }

  function close() {
    window.removeEventListener("message", receive);
    current?.dialog.remove();
    current = null;
  }

  function open(options) {
    close();
    const dialog = document.createElement("dialog");
    const frame = document.createElement("iframe");
    frame.title = "Pinwheel Link";
    frame.src = `${origin}/_fake/link#token=${encodeURIComponent(options.linkToken)}`;
    dialog.style.cssText = "padding:0;border:0;border-radius:12px;width:min(28rem,100vw);height:min(42rem,100vh);overflow:hidden;background:transparent";
    frame.style.cssText = "width:100%;height:100%;border:0;display:block";
    dialog.setAttribute("aria-label", "Pinwheel Link");
    dialog.append(frame);
    document.body.append(dialog);
    current = { dialog, frame, options };
    window.addEventListener("message", receive);
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      options.onEvent?.("exit", {});
      options.onExit?.({});
      close();
    });
    dialog.showModal();
  }

  window.Pinwheel = { open, close };
})();
