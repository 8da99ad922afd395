// The console's own script. Everything works without it, with one exception that needs it: a page that can no longer
// reach the bus says so itself, and is never left looking as if all were well.
(() => {
  "use strict";

  const SILENT_MS = 30_000;
  const STALE_MS = 40_000; // a page asks for its own contents every 15 s
  const OLD_MS = 60_000; // what a page showed that does not ask again
  const CHECK_MS = 1_000;
  const announced = document.getElementById("announced");
  const begun = Date.now();
  let heard = begun;
  let refreshed = begun;
  let lost = false;
  let life = document.getElementById("heartbeat")?.dataset.life;
  let stood = document.getElementById("heartbeat")?.dataset.at;

  function overdue() {
    return document.querySelector("[data-overdue]")?.dataset.overdue;
  }

  function icon(mark) {
    const link = document.getElementById("icon");
    const address = `/icon/${mark}.svg`;
    if (link && !link.href.endsWith(address)) {
      link.href = address;
    }
  }

  function mark() {
    const plain = document.title.replace(/^UNKNOWN: /, "");
    document.title = lost ? `UNKNOWN: ${plain}` : plain;
    document.body.classList.toggle("nb-lost", lost || life === "unknown");
    if (lost || life === "unknown") {
      icon("unknown");
    } else if (overdue() !== undefined) {
      icon(Math.min(Number(overdue()), 100));
    }
  }

  // What does not answer: nothing at all, or the page's own contents alone. Then the banner must not say that all is well.
  const SAID = "this page is not being updated, for the bus does not answer.";

  function show() {
    const banner = document.getElementById("heartbeat");
    const text = `${SAID} It shows how things stood at ${stood}.`;
    const word = document.createElement("strong");
    word.textContent = "✗ UNKNOWN";
    const line = document.createElement("p");
    line.append(word, `: ${text} Ring by hand, and tell whoever runs the bus.`);
    line.className = "nb-heartbeat__word";
    banner.className = "nb-heartbeat nb-heartbeat--unknown";
    banner.replaceChildren(line);
    mark();
    return text;
  }

  function lose() {
    if (!lost) {
      lost = true;
      announced.textContent = `UNKNOWN: ${show()}`;
    }
  }

  function refresh() {
    const main = document.querySelector("[data-refreshes]");
    if (main) {
      window.htmx.trigger(main, "refresh");
    }
  }

  function isStale() {
    const asks = document.querySelector("[data-refreshes]") !== null;
    return asks && Date.now() - refreshed > STALE_MS;
  }

  function check() {
    if (Date.now() - heard > SILENT_MS || isStale()) {
      lose();
    } else if (lost) {
      lost = false;
      announced.textContent = "The bus answers again.";
      mark();
      refresh();
    }
  }

  // A page that shows what it was asked for, and does not ask again, says how old that is.
  function age() {
    const minutes = Math.floor((Date.now() - begun) / OLD_MS);
    const at = document.querySelector("[data-ages]");
    if (!at || minutes < 1) {
      return;
    }
    at.dataset.ages ||= at.textContent;
    at.textContent = `${at.dataset.ages} That is ${minutes} min ago: load the page again.`;
    at.closest(".nb-sentence").classList.add("nb-sentence--old");
  }

  // What a form sent by htmx did not do is said beside it: htmx itself swaps nothing for a refusal, and says nothing.
  const NOT_KNOWN = "It is not known whether this was done: load the page again and look.";

  function refusal(xhr) {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    const why = page.querySelector("main h1 + p")?.textContent.trim();
    return `This was not done. ${why ?? "Load the page again and repeat it."}`;
  }

  function fail(event) {
    const { elt, requestConfig, xhr } = event.detail;
    if (requestConfig?.verb === "get" || !elt?.isConnected) {
      return;
    }
    let text = `The bus did not answer. ${NOT_KNOWN}`;
    if (event.type === "htmx:responseError") {
      text = xhr.status < 500 ? refusal(xhr) : `The bus had a fault. ${NOT_KNOWN}`;
    }
    forget();
    const line = document.createElement("p");
    line.className = "nb-failed";
    line.textContent = `✗ ${text}`;
    elt.after(line);
    announced.textContent = text;
  }

  function forget() {
    document.querySelectorAll(".nb-failed").forEach((one) => one.remove());
  }

  for (const type of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.body.addEventListener(type, fail);
  }

  if (!document.getElementById("heartbeat")) {
    return;
  }
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { successful, pathInfo, requestConfig } = event.detail;
    if (!successful) {
      return;
    }
    if (pathInfo?.requestPath?.startsWith("/heartbeat")) {
      const wasSilent = Date.now() - heard > SILENT_MS;
      heard = Date.now();
      if (wasSilent && isStale()) {
        refresh();
      }
    } else if (requestConfig?.elt?.dataset.refreshes !== undefined) {
      refreshed = Date.now();
      stood = document.getElementById("heartbeat")?.dataset.at;
    }
    check();
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    const before = life;
    const banner = document.getElementById("heartbeat");
    life = banner?.dataset.life;
    if (lost) {
      show();
      return;
    }
    stood = document.querySelector("[data-refreshes]") ? stood : banner?.dataset.at;
    mark();
    if (before !== life) {
      refresh();
    }
  });
  setInterval(() => {
    check();
    age();
  }, CHECK_MS);
  mark();
})();
