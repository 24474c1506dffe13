// What the docs page does beyond RapiDoc: colours for dark screens, and a
// streamed answer shown while it comes (RapiDoc itself shows it at the end).
"use strict";

const doc = document.querySelector("rapi-doc");

const colours = {
  light: { theme: "light", "bg-color": "#ffffff", "text-color": "#1f2937", "primary-color": "#0f766e",
    "nav-bg-color": "#f5f7f7", "nav-text-color": "#374151", "nav-hover-bg-color": "#e6eceb",
    "nav-hover-text-color": "#0f766e", "nav-accent-color": "#0f766e" },
  dark: { theme: "dark", "bg-color": "#12181b", "text-color": "#e5e7eb", "primary-color": "#2dd4bf",
    "nav-bg-color": "#0c1113", "nav-text-color": "#cbd5d9", "nav-hover-bg-color": "#1a2428",
    "nav-hover-text-color": "#5eead4", "nav-accent-color": "#2dd4bf" },
};

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function paint() {
  for (const [name, value] of Object.entries(dark.matches ? colours.dark : colours.light)) {
    doc.setAttribute(name, value);
  }
}

paint();
dark.addEventListener("change", paint);

// Beside a narrow page there is no room for the list of operations: there they
// are sections of the page itself.
if (window.matchMedia("(max-width: 767px)").matches) {
  doc.setAttribute("render-style", "view");
}

// RapiDoc's own lay-out, put straight where it is crooked.
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  #overview { max-width: 860px; padding: 24px 0; }
  .main-content-inner--view-mode #overview { padding: 0; }
  #api-info { margin-left: 0; }
  .endpoint-body { position: relative; }
  @container (max-width: 767px) { .endpoint-body { padding-top: 44px; } }
  #api-description pre { margin: 14px 0; }
  #api-description h4 { margin: 1.6em 0 0.4em; font-size: 1.05em; }
`);

customElements.whenDefined("rapi-doc").then(() => {
  doc.shadowRoot.adoptedStyleSheets = [...doc.shadowRoot.adoptedStyleSheets, sheet];
});

// A copy of each streamed answer is read here; RapiDoc reads the original.
const plainFetch = window.fetch.bind(window);

window.fetch = async (...args) => {
  const began = performance.now();
  const response = await plainFetch(...args);
  if ((response.headers.get("content-type") || "").startsWith("text/event-stream")) {
    showLive(response.clone().body, began);
  }
  return response;
};

const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const liveFigures = document.getElementById("live-figures");
document.getElementById("live-close").addEventListener("click", () => { live.hidden = true; });

let latest = 0; // only the newest stream is shown

async function showLive(stream, began) {
  const mine = ++latest;
  let text = "", events = 0, first = 0;
  const show = (state) => {
    if (mine !== latest) return;
    liveText.textContent = text;
    liveText.scrollTop = liveText.scrollHeight;
    const firstly = first ? ` · first event after ${Math.round(first)} ms` : "";
    liveFigures.textContent = `${state} · ${events} events${firstly} · ${((performance.now() - began) / 1000).toFixed(1)} s`;
  };
  liveText.textContent = "";
  live.hidden = false;
  show("waiting");
  try {
    for await (const data of eventsOf(stream)) {
      events++;
      first ||= performance.now() - began;
      text += textOf(data);
      show("streaming");
    }
    show("complete");
  } catch {
    show("broken off");
  }
}

// eventsOf yields the data of each server-sent event.
async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice(5).trim();
    }
  }
}

// textOf takes the text out of one event of any of the streamed formats.
function textOf(data) {
  if (data === "[DONE]") return "";
  let event;
  try {
    event = JSON.parse(data);
  } catch {
    return "";
  }
  if (event.error) return `\n[${event.error.code || event.error.type}] ${event.error.message}`;
  if (typeof event.delta === "string") return event.delta;
  return (event.choices || []).map((choice) => choice.delta?.content ?? choice.text ?? "").join("");
}
