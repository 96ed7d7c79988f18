"""The cover page of a pack: what the organisers ask, and where it is found, in English and Chinese."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from harness.catalogue.entries import Part
from harness.evidence import records, screen, sessions
from harness.evidence.verdicts import MARKS, verdict_of
from harness.points.scoring import EARNED, REHEARSED, WAITING
from harness.publish.packs.contents import Contents, Run

STATES = {
    EARNED: "passed, and the rule is met · 已通过并满足得分规则",
    WAITING: "passed; a person's evidence is still to be added · 已通过，尚缺本人提供的证据",
    REHEARSED: "passed as a rehearsal: the rule gives no points on this hardware · 演练通过，此硬件不计分",
}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PaddleHomework {names}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.6 system-ui, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif;
        margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }}
img {{ max-width: 100%; border-radius: 6px; }} table {{ border-collapse: collapse; }}
td, th {{ border-bottom: 1px solid #8884; padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }}
blockquote {{ margin: 1rem 0; padding-left: 1rem; border-left: 4px solid #8884; }}
.missing {{ color: #c33; }} code {{ word-break: break-all; }}
</style></head><body>
<h1>PaddlePaddle 3.0 homework: {names}<br><span lang="zh">飞桨 3.0 作业：{names}</span></h1>
{parts}
<h2>How to check it · 如何核验</h2>
<p>In a clone of the project, <code>./inv verify FILE.zip</code> computes every hash again and judges every run again;
nothing of the pack is executed. <span lang="zh">在项目仓库中运行 <code>./inv verify FILE.zip</code>：
重新计算全部哈希并重新判定每次运行，不会执行包内任何代码。</span></p>
<p>{code}</p>
</body></html>
"""


def page(contents: Contents) -> str:
    """The page as self-contained HTML; its pictures and links lie beside it in the pack."""
    names = ", ".join(part.name for part in contents.parts)
    sections = "\n".join(line for part in contents.parts for line in _part(contents, part))
    return PAGE.format(names=escape(names), parts=sections, code=_code(contents))


def _code(contents: Contents) -> str:
    if not any(name.startswith("code/") for name in contents.files):
        return "No program of the project belongs to it. <span lang='zh'>不含项目程序。</span>"
    where = "<a href='code/'>code/</a>: "
    if contents.revision:
        return where + f"as committed, {contents.revision}. <span lang='zh'>代码为上述提交的内容。</span>"
    return where + (
        "as it lay there when the pack was made; the runs had uncommitted changes, or several commits. "
        "<span lang='zh'>代码为打包时的内容；运行时有未提交的改动，或来自多个提交。</span>"
    )


def _part(contents: Contents, part: Part) -> Iterator[str]:
    yield f"<h2>{escape(part.name)} · {escape(part.title)} · <span lang='zh'>{escape(part.title_zh)}</span></h2>"
    yield f"<blockquote lang='zh'>{escape(part.quote)}<br>证据：{escape(part.evidence)}</blockquote>"
    yield f"<p>As the project reads it: {escape(part.reading)}.</p>"
    missing = [line for line in contents.missing() if line.startswith(f"part {part.name}: ")]
    for line in missing:
        yield f"<p class='missing'>Still to be added · 尚缺：{escape(line.partition(': ')[2])}</p>"
    for run in contents.runs[part.name]:
        yield from _run(run)
    for each in contents.attached[part.name]:
        yield _attached(each.data)
    for session in contents.sessions[part.name]:
        yield from _session(session)


def _run(run: Run) -> Iterator[str]:
    record, place = run.record, quote(run.place)
    hardware = record["hardware"]
    yield f"<h3>{escape(hardware['model'])} ({escape(record['cell']['hardware'])}) · {escape(record['id'])}</h3>"
    yield f"<p>{STATES[run.state]}. {escape(record['times']['started'])}, {escape(hardware['system'])}.</p>"
    if screen.FILE in record["artefacts"]:
        yield f"<p><img src='{place}/{screen.FILE}' alt='The log of the run, as a terminal shows it'></p>"
    rows = "".join(
        f"<tr><td>{escape(check['name'])}</td><td>{escape(_short(check['found']))}</td>"
        f"<td>{escape(check['asked'])}</td><td>{MARKS[verdict_of(check)]}</td></tr>"
        for check in record["checks"]
    )
    yield f"<table><tr><th>check · 检查</th><th>found · 实测</th><th>asked · 要求</th><th></th></tr>{rows}</table>"
    names = [records.FILE, *sorted(record["artefacts"])]
    yield "<p>" + " · ".join(f"<a href='{place}/{quote(name)}'>{escape(name)}</a>" for name in names) + "</p>"


def _attached(data: "dict[str, str] | object") -> str:
    assert isinstance(data, dict)
    note = f" {escape(data['note'])}" if data.get("note") else ""
    about = " · ".join(escape(str(data[name])) for name in ("date", "checked") if data.get(name))
    if "url" in data:
        url = escape(data["url"], quote=True)
        return f"<p>{escape(data['kind'])}: <a href='{url}'>{url}</a>{note} ({about})</p>"
    lines = [f"<p>{escape(data['kind'])}: {escape(data.get('name', ''))}{note} ({about})</p>"]
    for name in data["artefacts"]:
        path = quote(f"results/attached/{data['part']}/{data['id']}/{name}")
        picture = name.endswith((".png", ".jpg", ".webp"))
        lines.append(
            f"<p><img src='{path}' alt='{escape(data['kind'])}'></p>"
            if picture
            else f"<p><a href='{path}'>{name}</a></p>"
        )
    return "\n".join(lines)


def _session(session: Mapping[str, Any]) -> Iterator[str]:
    place = quote(f"results/{sessions.place(session)}")
    then, turns = session.get("continues"), session["turns"]
    yield f"<h3 id='{session['id']}'>Pairing session · 编程会话 · {session['id']}</h3>"
    yield (
        f"<p>{escape(session['model'])}: {turns} {'turn' if turns == 1 else 'turns'} · {turns} 轮; "
        + ("its code passed · 代码已通过" if session["passed"] else "its code did not pass · 代码未通过")
        + (f"; it continues · 续接 <a href='#{then['id']}'>{then['id']}</a>" if then else "")
        + "</p>"
    )
    pictures = [name for name in session["artefacts"] if name.endswith(".png")]
    for name in sorted(pictures, key=lambda name: (len(name), name)):  # turn-10 behind turn-9
        yield f"<p><img src='{place}/{quote(name)}' alt='A turn: its question, answer, changes and result'></p>"
    names = (sessions.FILE, *sorted(session["artefacts"]))
    links = [f"<a href='{place}/{quote(name)}'>{escape(name)}</a>" for name in names]
    yield "<p>" + " · ".join(links) + "</p>"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
