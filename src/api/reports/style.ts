/** The style sheet of the HTML report: light and dark, screen and paper, nothing fetched. */
export const reportStyle = `
:root{color-scheme:light dark;--fg:#1b1f24;--dim:#5b6470;--line:#d8dde3;--bg:#fff;--card:#f6f8fa;--good:#0f7b3f;--bad:#b3261e;--base:#8a94a0;--opt:#0b66c3}
@media (prefers-color-scheme:dark){:root{--fg:#e6e9ed;--dim:#9aa4af;--line:#343b44;--bg:#12161b;--card:#1a2027;--good:#4cc383;--bad:#ff8a80;--base:#7f8a96;--opt:#5aa9f5}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2.5rem 0 .75rem}
.sub{color:var(--dim);margin:.25rem 0 1.5rem;overflow-wrap:anywhere}
.headline{border-left:.4rem solid var(--dim);background:var(--card);padding:1rem 1.25rem;font-size:1.25rem;border-radius:.25rem;overflow-wrap:anywhere}
.headline.good{border-color:var(--good)}.headline.bad{border-color:var(--bad)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--dim);font-weight:600;font-size:.85rem}
td.num,th.num{text-align:right;white-space:nowrap}
.better,.pass{color:var(--good);font-weight:600}.worse,.fail{color:var(--bad);font-weight:600}
code,pre{font-family:ui-monospace,monospace;font-size:.875rem}
pre{background:var(--card);padding:1rem;overflow-x:auto;border-radius:.25rem}
summary{cursor:pointer}
ul.plain{list-style:none;padding:0;margin:0}ul.plain li{margin:.5rem 0;overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--dim);font-size:13px}svg .tick{text-anchor:middle}svg .side{text-anchor:end}
svg .axis,svg .grid{stroke:var(--line)}svg .unity{stroke:var(--dim);stroke-dasharray:4 4}
svg .noise{fill:var(--base);opacity:.18}svg .interval{stroke:var(--opt);stroke-width:6;stroke-linecap:round;opacity:.45}svg .estimate{fill:var(--opt)}
svg polyline{fill:none;stroke-width:2.5}svg .baseline{stroke:var(--base)}svg .optimized{stroke:var(--opt)}
.legend{color:var(--dim);font-size:.85rem;margin:.25rem 0}.key{display:inline-block;width:1.5rem;height:.25rem;margin:0 .3rem .2rem .8rem}
.key.baseline{background:var(--base)}.key.optimized{background:var(--opt)}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}table,svg,.headline{break-inside:avoid}details>*{display:block}}
`
