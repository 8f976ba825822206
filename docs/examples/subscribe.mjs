// Prints the id and the height of each block. Started again, it goes on after the last one that it printed.
// Usage: node subscribe.mjs URL FILE, such as node subscribe.mjs http://127.0.0.1:19999/events/main last-id
// Needs Node 18 or newer, and no packages.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const [url, file] = process.argv.slice(2);

/** The events of a stream: their ids (null for a version) and their JSON. */
async function* events(body) {
  let text = "";
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    text += part;
    const messages = text.split("\n\n"); // A blank line: the event is complete.
    text = messages.pop();
    for (const message of messages) {
      const lines = message.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
      const data = field("data:");
      if (data.length > 0) yield { id: field("id:")[0] ?? null, event: JSON.parse(data.join("\n")) };
    }
  }
}

for (;;) {
  const last = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  try {
    const response = await fetch(`${url}?start_from=${last + 1}`);
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    for await (const { id, event } of events(response.body)) {
      if (id === null) continue; // {"ApiVersion": ..}
      if (event.BlockAdded) console.log(`${id} block ${event.BlockAdded.block.header.height}`);
      writeFileSync(file, id); // Only now: what was not printed yet comes again.
    }
  } catch (error) {
    console.error(`${error.cause?.message ?? error.message}; trying again`);
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
