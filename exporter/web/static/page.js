// Keeps a page current by the events of its own address (exporter/web/live.py). Without it a page is as it
// was when it was asked for.
"use strict";

(() => {
  const SOON = 2_000; // ms until what was refused is asked for again, the first time: the exporter may just begin
  const ROOM_IN = 30_000; // ms at the most, as the exporter's Retry-After
  const SILENCE = 40_000; // ms: two pings are missing, so the connection is dead whatever the browser thinks
  const TYPING = 250; // ms between two keys of somebody who has not finished

  const connection = document.getElementById("connection");
  const filter = document.querySelector("form[role=search]");
  const beats = new Map(); // worker id: its last heartbeat in Unix seconds

  let source = null;
  let asOf = Number(document.documentElement.dataset.now); // by the exporter's clock, in Unix seconds
  let ahead = asOf - Date.now() / 1000; // the exporter's clock, of this computer's
  let heard = Date.now();
  let live = false;
  let gone = false;
  let again;
  let patience = SOON;

  // What is said

  function say(state, text) {
    live = state === "live";
    connection.dataset.state = state;
    connection.hidden = false;
    if (connection.textContent !== text) connection.textContent = text;
  }

  function sayNotLive(why) {
    say("lost", `${why} Shown as of ${instant(new Date(asOf * 1000).toISOString())}.`);
  }

  function instant(iso) {
    return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
  }

  function brief(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 2 * 86400) return `${Math.floor(whole / 3600)} h`;
    return `${Math.floor(whole / 86400)} d`;
  }

  function tellTime(within) {
    const now = Date.now() / 1000 + ahead;
    for (const time of within.querySelectorAll("time[data-ago], time[data-for], time[data-beat]")) {
      const beat = beats.get(time.dataset.beat);
      if (beat !== undefined) {
        time.dateTime = new Date(beat * 1000).toISOString();
        time.title = instant(time.dateTime);
      } else if (!time.title) {
        time.title = time.textContent;
      }
      const passed = brief(now - Date.parse(time.dateTime) / 1000);
      const text = "for" in time.dataset ? passed : `${passed} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // What is shown

  function change({ now, regions, beats: beaten }) {
    asOf = now;
    ahead = now - Date.now() / 1000;
    for (const [worker, at] of Object.entries(beaten)) beats.set(worker, at);
    const focused = document.activeElement;
    const href = focused && focused.getAttribute("href");
    for (const [id, html] of Object.entries(regions)) show(document.getElementById(id), html);
    // Who is on a link stays on it, wherever in the table it has got to.
    if (href !== null && !focused.isConnected) {
      const links = Array.from(document.links);
      links.find((link) => link.getAttribute("href") === href)?.focus({ preventScroll: true });
    }
    say("live", "Live");
    tellTime(document);
  }

  // What is as it was is left alone: somebody may be about to click on it, or read it.
  function show(region, html) {
    if (region === null) return;
    const fresh = region.cloneNode(false);
    fresh.innerHTML = html;
    tellTime(fresh);
    const opened = new Set(Array.from(region.querySelectorAll("details[open]"), rowOf));
    for (const details of fresh.querySelectorAll("details")) details.open = opened.has(rowOf(details));
    let place = region.firstChild;
    for (const node of Array.from(fresh.childNodes)) {
      const same = equalFrom(place, node);
      if (same === null) {
        region.insertBefore(node, place);
      } else {
        place = removeUntil(place, same).nextSibling;
      }
    }
    removeUntil(place, null);
  }

  function rowOf(element) {
    return element.closest("tr").textContent;
  }

  function equalFrom(place, node) {
    // The text between elements is everywhere the same, so it says nothing about where one is.
    const last = node.nodeType === Node.ELEMENT_NODE ? null : place?.nextSibling ?? null;
    for (let each = place; each !== last; each = each.nextSibling) if (each.isEqualNode(node)) return each;
    return null;
  }

  function removeUntil(place, end) {
    while (place !== end) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
    return end;
  }

  // Where it comes from

  function open() {
    close();
    if (gone || document.hidden) return; // browsers allow few connections, and nobody looks at this one
    heard = Date.now();
    source = new EventSource(location.pathname + location.search);
    source.addEventListener("changes", (event) => {
      heard = Date.now();
      patience = SOON;
      change(JSON.parse(event.data));
    });
    source.addEventListener("ping", () => {
      heard = Date.now();
    });
    source.addEventListener("gone", () => {
      gone = true;
      close();
      sayNotLive("It is no longer there.");
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) {
        sayNotLive("The connection is lost; trying again.");
      } else {
        sayNotLive("Not kept current.");
        again = setTimeout(open, patience);
        patience = Math.min(2 * patience, ROOM_IN);
      }
    });
  }

  function close() {
    clearTimeout(again);
    if (source !== null) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());

  setInterval(() => {
    if (live) tellTime(document);
    if (source?.readyState === EventSource.OPEN && Date.now() - heard > SILENCE) {
      sayNotLive("The connection is lost; trying again.");
      open();
    }
  }, 1000);

  // Filtering as one types: another query is another stream, which begins with all that it shows. Where there
  // is none the form is sent as ever.
  let typing;
  filter?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      if (!live) return;
      const given = Array.from(new FormData(filter)).filter(([, value]) => value !== "");
      const query = new URLSearchParams(given).toString();
      history.replaceState(null, "", query === "" ? location.pathname : `?${query}`);
      open();
    }, TYPING);
  });

  open();
})();
