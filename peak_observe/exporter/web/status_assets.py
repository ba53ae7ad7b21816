"""Style and script of the status page; its content security policy allows just these."""

from __future__ import annotations

STYLE = """
:root { --page: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #5b6675; --line: #e2e6eb;
  --good: #19733c; --warn: #8a5a00; --bad: #b3201f; --idle: #5b6675;
  --good-card: #e2f4e8; --warn-card: #fdf0d3; --bad-card: #fde3e1; --idle-card: #eceff3; }
@media (prefers-color-scheme: dark) { :root {
  --page: #11151b; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa6b5; --line: #2b3440;
  --good: #6fd495; --warn: #f0bd5a; --bad: #ff8f88; --idle: #9aa6b5;
  --good-card: #14301f; --warn-card: #362a10; --bad-card: #3d1917; --idle-card: #252d38; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 0.9375rem/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 0; padding: 0.75rem 1rem 0.25rem; font-size: 1rem; }
h2 span { color: var(--soft); font-weight: 400; }
header { padding: 1rem; border-radius: 0.5rem; border-left: 0.375rem solid; }
header h1 { color: inherit; }
header p { margin: 0.25rem 0 0; color: var(--ink); }
header .at { color: var(--soft); }
header.good { color: var(--good); background: var(--good-card); }
header.warn { color: var(--warn); background: var(--warn-card); }
header.bad { color: var(--bad); background: var(--bad-card); }
#stale { color: var(--bad); font-weight: 600; }
section { margin-top: 1rem; padding-bottom: 0.375rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.5rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.375rem 1rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { color: var(--soft); font-size: 0.8125rem; font-weight: 400; overflow-wrap: normal; }
thead th:first-child { width: 24%; }
thead th:nth-child(2) { width: 14%; }
tbody th { font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
b { display: inline-block; padding: 0 0.5rem; border-radius: 0.75rem; font-weight: 600; font-size: 0.875rem;
  overflow-wrap: normal; }
b.good { color: var(--good); background: var(--good-card); }
b.warn { color: var(--warn); background: var(--warn-card); }
b.bad { color: var(--bad); background: var(--bad-card); }
b.idle { color: var(--idle); background: var(--idle-card); }
.empty, .note { margin: 0; padding: 0.25rem 1rem 0.375rem; color: var(--soft); }
.note { margin-top: 1rem; }
.note.bad { color: var(--bad); }
footer { margin-top: 1rem; color: var(--soft); font-size: 0.8125rem; }
a { color: inherit; margin-right: 0.5rem; }
@media (min-width: 40.01rem) { td:not(:last-child) { white-space: nowrap; } }
@media (max-width: 40rem) {
  body { padding: 0.5rem; }
  thead { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1fr auto; gap: 0.125rem 0.75rem; padding: 0.5rem 1rem; }
  tbody th, td { padding: 0; }
  td { display: flex; gap: 0.75rem; grid-column: 1 / -1; }
  td.state { grid-column: 2; }
  td:not(.state)::before { content: attr(data-head); flex: 0 0 5rem; color: var(--soft); }
}
"""

SCRIPT = """
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname, { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(answer.status);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = next.title;
    document.querySelector("main").replaceWith(next.querySelector("main"));
  } catch {
    document.getElementById("stale").hidden = false;
  }
}, 10000);
"""
