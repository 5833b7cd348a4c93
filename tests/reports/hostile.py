"""Names that try to be more than text, and a run whose models, samplers and metrics bear them."""

from __future__ import annotations

from . import synthetic

NAMES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>\"'&amp;",
    "</script></title></style><svg onload=alert(3)>",
    "[link](javascript:alert(4)) ![i](http://evil.example/x.png)",
    "**bold** _em_ ~~gone~~ # heading",
    "a | b || c",
    "`code` ``more`` ```",
    "two\n\n# lines\r\n| a | b |\n|---|---|",
    "\x1b[31mred\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x00\x9b2J",
    "@octocat @org/team #1 GH-2 owner/repo#3 https://evil.example www.evil.example",
    "x\n::error title=forged::%0A::set-output name=a::b",
    "##[error]forged ##[add-mask]e",
    "<!-- sigmascope -->\n> [!TIP]\n> **No regression**",
    "]]> <![CDATA[ <!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]> &e;",
    "%{x} ${y} {{ 7*7 }} {% raw %} $x^2$",
    "\u202edesrever\u2066 \ufeff\ufffe",
    "[red]rich[/red] [link=http://evil.example]x[/link]",
    "long " * 2000,
]
JOINED = "\n".join(NAMES)


def run(name: str) -> synthetic.SyntheticRun:
    """A sound model and a regressed one, both with `name` in theirs, as has a metric and a sampler."""
    made = synthetic.run({f"{name}sound": "eps", f"{name}regressed": "v"})
    scores = made.tables["metrics"].copy()
    scores["metric"] = scores["metric"].replace({"class agreement": name})
    scores["sampler"] = scores["sampler"].replace({"ddim": name})
    made.tables = {**made.tables, "metrics": scores, "samples": synthetic.samples(scores)}
    return made
