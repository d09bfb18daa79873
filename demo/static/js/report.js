// The report: counts the rows while they arrive.

import { find, say, write } from "./page.js";

const [log, state, progress, run] = ["report-log", "report-state", "report-progress", "report-run"].map(find);

run.addEventListener("click", async () => {
  run.disabled = true;
  log.replaceChildren();
  try {
    const started = performance.now();
    const response = await fetch("/report");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let [rows, pieces, rest] = [-1, 0, ""]; // the first line is the head
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces += 1;
      const lines = (rest + value).split("\r\n");
      rest = lines.pop();
      rows += lines.length;
      progress.value = rows;
      write(log, lines.at(-1) ?? "", { keep: 20 });
    }
    say(state, `${rows} rows in ${pieces} pieces, ${Math.round(performance.now() - started)} ms`, true);
  } finally {
    run.disabled = false;
  }
});
