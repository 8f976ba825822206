// Opens docs/examples/subscribe.html in a headless Chromium, and prints the items of its list as they appear.
// Usage: node chromium.mjs PAGE URL
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [page, url] = process.argv.slice(2);
const report = `<script>
  let told = Promise.resolve();
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const { textContent } of addedNodes)
        told = told.then(() => fetch("/told", { method: "POST", body: textContent }));
  }).observe(document.getElementById("blocks"), { childList: true });
</script>`;

const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    let text = "";
    for await (const part of request) text += part;
    console.log(text);
    response.end();
  } else {
    response.setHeader("content-type", "text/html");
    response.end(readFileSync(page, "utf8") + report);
  }
});
server.listen(0, "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}/?url=${encodeURIComponent(url)}`;
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"];
  spawn("chromium", [...options, `--user-data-dir=${profile}`, address], { stdio: "ignore" });
});
