// Runs the script of an HTML page without a browser, as far as docs/examples/subscribe.html needs one, and prints the
// items of its list. Usage: node browser.mjs PAGE URL
import { readFileSync } from "node:fs";

const [page, url] = process.argv.slice(2);
const script = readFileSync(page, "utf8").match(/<script>([\s\S]*)<\/script>/)[1];

/** What a page can do with an EventSource; coming back by itself is left out, since the page closes it on errors. */
class EventSource {
  #abort = new AbortController();
  #last = "";

  constructor(url) {
    this.#read(url).catch(() => {}).finally(() => this.#abort.signal.aborted || this.onerror?.({}));
  }

  async #read(url) {
    const response = await fetch(url, { headers: { accept: "text/event-stream" }, signal: this.#abort.signal });
    if (response.status !== 200 || response.headers.get("content-type") !== "text/event-stream") return;
    this.onopen?.({});
    let text = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      const messages = text.split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        const data = /^data:(.*)$/m.exec(message)?.[1];
        this.#last = /^id:(.*)$/m.exec(message)?.[1] ?? this.#last;
        if (data !== undefined) this.onmessage?.({ data, lastEventId: this.#last });
      }
    }
  }

  close() {
    this.#abort.abort();
  }
}

const element = { prepend: (item) => console.log(item.textContent) };
const document = { getElementById: () => element, createElement: () => ({}) };
const location = { search: `?url=${encodeURIComponent(url)}` };
new Function("EventSource", "document", "location", script)(EventSource, document, location);
