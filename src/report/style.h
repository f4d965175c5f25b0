#pragma once

namespace codmoe::report {

inline constexpr const char* style = R"css(
:root { color-scheme: light dark; --page: #fff; --text: #1b1f1d; --quiet: #5c665f; --line: #dde2de; --card: #f5f7f5;
  --bar: #4d7c5a; --mean: #b3541e; --c0: #0066a8; --c1: #c65300; --c2: #00805c; --c3: #b0488f; --c4: #8a6d00;
  --c5: #5b4fc9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #131614; --text: #e5e9e6; --quiet: #98a39b; --line: #2d332f; --card: #1b1f1c; --bar: #79b389;
    --mean: #f09a5d; --c0: #56b4e9; --c1: #f28e3c; --c2: #2fc79a; --c3: #e39ac4; --c4: #e6c84a; --c5: #a79df5; }
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
thead th { white-space: normal; overflow-wrap: break-word; min-width: 5.5rem; vertical-align: bottom; }
td { vertical-align: top; }
td .quiet { font-size: .75rem; }
code { font-size: .75rem; color: var(--quiet); }
.groups th[colspan] { text-align: center; border-left: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; margin: 1rem 0; }
a { color: inherit; }
details { margin: 1rem 0; }
summary { cursor: pointer; }
ul.notes { padding-left: 1.2rem; font-size: .875rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem; }
.chart { display: block; width: 100%; max-width: 30rem; height: auto; font-size: 12px; }
.chart text { fill: var(--quiet); }
.chart path { stroke: var(--line); fill: none; }
.chart .line, .sample .line { stroke-width: 2; stroke-linejoin: round; fill: none; }
.line.c0 { stroke: var(--c0); }
.line.c1 { stroke: var(--c1); }
.line.c2 { stroke: var(--c2); }
.line.c3 { stroke: var(--c3); }
.line.c4 { stroke: var(--c4); }
.line.c5 { stroke: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: .5rem 0;
  font-size: .875rem; }
.sample { width: 2rem; height: .5rem; vertical-align: middle; }
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
.keys span { white-space: nowrap; margin-left: .8rem; }
.keys i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; vertical-align: -.05rem;
  border: 1px solid var(--line); }
.found { background: #e8e8e8; }
.missed { background: #dd3b26; }
.false { background: #368bf0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem;
  align-items: start; }
.card { background: var(--card); border-radius: .5rem; padding: .6rem; }
.card p { margin: 0 0 .4rem; font-size: .875rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(6.5rem, 45%), 1fr)); gap: .4rem; }
@media (max-width: 40rem) { .pictures { grid-template-columns: 1fr 1fr; } }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; border-radius: .25rem; }
)css";

}  // namespace codmoe::report
