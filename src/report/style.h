#pragma once

namespace codmoe::report {

inline constexpr const char* style = R"css(
:root { color-scheme: light dark; --page: #fff; --text: #1b1f1d; --quiet: #5c665f; --line: #dde2de; --card: #f5f7f5;
  --bar: #4d7c5a; --mean: #b3541e; }
@media (prefers-color-scheme: dark) {
  :root { --page: #131614; --text: #e5e9e6; --quiet: #98a39b; --line: #2d332f; --card: #1b1f1c; --bar: #79b389;
    --mean: #f09a5d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 3rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
.quiet, figcaption { color: var(--quiet); font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; position: sticky; left: 0; z-index: 1;
  background: var(--page); }
details { margin: 1rem 0; }
summary { cursor: pointer; }
ul.notes { padding-left: 1.2rem; font-size: .875rem; }
.histogram { display: block; width: 100%; max-width: 30rem; height: auto; font-size: 13px; }
.histogram rect { fill: var(--bar); }
.histogram text { fill: var(--quiet); }
.histogram path { stroke: var(--line); fill: none; }
.histogram path.mean { stroke: var(--mean); stroke-width: 2; stroke-dasharray: 4 3; }
.loads thead .quiet { font-weight: normal; }
.load { position: relative; width: clamp(3.2rem, 10vw, 7.5rem); height: .5rem; margin: .1rem 0 .2rem auto;
  background: var(--card); }
.load i { display: block; height: 100%; background: var(--bar); }
.load::after { content: ""; position: absolute; top: -.1rem; bottom: -.1rem; left: var(--even); width: 2px;
  background: var(--mean); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem;
  align-items: start; }
.card { background: var(--card); border-radius: .5rem; padding: .6rem; }
.card p { margin: 0 0 .4rem; font-size: .875rem; }
.pictures { display: flex; gap: .4rem; }
figure { margin: 0; flex: 1 1 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: .25rem; }
)css";

}  // namespace codmoe::report
