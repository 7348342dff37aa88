"""How the page and the picture look, in light and in dark: all text has a contrast of at least 4.5 to its ground."""

LIGHT_TO_DARK = {
    "#fff": "#131c2e",
    "#0f172a": "#e2e8f0",
    "#475569": "#cbd5e1",
    "#cbd5e1": "#334155",
    "#e2e8f0": "#26334a",
    "#f1f5f9": "#1b263b",
    "#94a3b8": "#64748b",
    "#0f766e": "#2dd4bf",
    "#64748b": "#a3b1c6",
    "#b45309": "#fbbf24",
    "#7c3aed": "#c4b5fd",
    "#c2410c": "#fdba74",
    "#0369a1": "#7dd3fc",
    "#be185d": "#f9a8d4",
    "#4d7c0f": "#bef264",
}
"""Colours of the picture, as they stand in its attributes, and what they become where a reader's system is dark."""


def _dark_figure() -> str:
    rules = ".t0-figure text{fill:#e2e8f0}.t0-figure .quiet{fill:#a3b1c6}.t0-figure .dot{stroke:#131c2e}"
    for light, dark in LIGHT_TO_DARK.items():
        rules += f'.t0-figure [fill="{light}"]{{fill:{dark}}}.t0-figure [stroke="{light}"]{{stroke:{dark}}}'
        rules += f'.t0-figure [style="fill:{light}"]{{fill:{dark}!important}}'
    return rules


FIGURE = (
    '.t0-figure text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#0f172a}'
    ".t0-figure .quiet{fill:#526077}.t0-figure .num{font-variant-numeric:tabular-nums}"
    ".t0-figure .dot{fill-opacity:.82;stroke:#fff;stroke-width:.9}"
    ".t0-figure .dot:hover{fill-opacity:1;stroke-width:1.6}"
    f"@media (prefers-color-scheme:dark){{{_dark_figure()}}}"
)
PAGE = """
:root{color-scheme:light dark;--ground:#f8fafc;--card:#fff;--ink:#0f172a;--quiet:#526077;--line:#e2e8f0;--accent:#0f766e;
--above:#0f766e;--at:#5b6b82;--below:#b45309;--warn:#fffbeb;--warn-line:#b45309}
@media (prefers-color-scheme:dark){:root{--ground:#0b1220;--card:#131c2e;--ink:#e2e8f0;--quiet:#a3b1c6;--line:#26334a;
--accent:#2dd4bf;--above:#2dd4bf;--at:#a3b1c6;--below:#fbbf24;--warn:#2a2110;--warn-line:#fbbf24}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink)}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1200px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:40px 0 12px}
p{margin:0 0 10px;max-width:76ch}
.lead{font-size:17px;color:var(--quiet);margin-bottom:24px;max-width:none}
.warnings{background:var(--warn);border-left:4px solid var(--warn-line);border-radius:8px;padding:12px 16px;margin:0 0 24px;
font-weight:600}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px}
.figure{margin:0;overflow-x:auto}.figure svg{display:block;width:100%;height:auto;min-width:760px}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;color:var(--quiet);font-size:12px;padding:0 8px 4px}
th,td{text-align:right;padding:6px 8px;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}
th{font-weight:600;color:var(--quiet);font-size:12px}
th[scope=row],th.name,td.name{text-align:left;color:var(--ink);font-size:14px}
td.name,td.long{white-space:normal}
thead th{white-space:normal;vertical-align:bottom}
th.family{text-align:left;text-transform:uppercase;font-size:11px;letter-spacing:.06em;padding-top:16px}
tbody tr:last-child>*{border-bottom:0}
.scroll{overflow-x:auto}
.verdict{font-weight:600}.above{color:var(--above)}.at{color:var(--at)}.below{color:var(--below)}
ul{margin:0;padding-left:20px}li{margin:4px 0}.after{margin-top:12px;color:var(--quiet);font-size:13px}
details{border-top:1px solid var(--line);padding:8px 0}details:first-child{border-top:0}
summary{cursor:pointer;padding:2px 0}
:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:4px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere}
@media print{body{background:#fff}main{padding:0}}
"""
