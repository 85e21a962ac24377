"""Results as a table in Markdown and as a plot (SVG)."""
import html
import math
import statistics


def number(value):
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def limits_text(machines):
    def median(get):
        return statistics.median(get(machine) for machine in machines)
    parts = []
    for threads in machines[0]["read_gbps"]:
        rates = {name: median(lambda m: m["arithmetic"][threads][name]) for name in ("int8_gops", "bf16_gflops", "f32_gflops")}
        parts.append(f"{threads} thread{'s' * (threads != '1')}: memory read {median(lambda m: m['read_gbps'][threads]):.1f} GB/s, {rates['int8_gops']:.0f} GOP/s int8, "
                     + (f"{rates['bf16_gflops']:.0f} GFLOP/s bf16, " if rates["bf16_gflops"] else "") + f"{rates['f32_gflops']:.0f} GFLOP/s float32")
    return "; ".join(parts)


def table(results):
    lines = ["| row | ours | against | | ratio (spread) | rate | of the limit | goal | |", "|---|---|---|---|---|---|---|---|---|"]
    for r in results:
        if "skipped" in r:
            lines.append(f"| {r['row']} | {r['skipped']} | | {r['against']} | | | | | |")
            continue
        ratio = f"{number(r['ratio'])} ({number(r['ratio_min'])}–{number(r['ratio_max'])})" if r["ratio"] else ""
        rate = f"{number(r['rate'])} {r['rate_unit']}" if r["rate"] and r["rate_unit"] else ""
        share = f"{100 * r['share']:.0f} %" if r["share"] else ""
        met = "" if r["met"] is None else "met" if r["met"] else "not met"
        lines.append(f"| {r['row']} | {number(r['ours'])} {r['unit']} | {number(r['theirs'])} | {r['against']} | {ratio} | {rate} | {share} | {r['goal']} | {met} |")
    return "\n".join(lines)


def plot(results, heading):
    """Bars of ratios on a logarithmic scale that begin at 1, each with the line of its spread; seconds are left out. -> SVG"""
    bars = [r for r in results if r.get("ratio") and r["unit"] != "s"]
    low = min([0.5] + [r["ratio_min"] for r in bars])
    high = max([2.0] + [r["ratio_max"] for r in bars])
    left, width, line, top = 660, 520, 24, 56

    def x(ratio):
        return left + width * math.log(ratio / low) / math.log(high / low)

    parts = [f'<text x="10" y="22" font-size="15">{html.escape(heading)}</text>']
    bottom = top + line * len(bars)
    for step in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1):
        at = x(2.0**step)
        parts.append(f'<path d="M{at:.1f} {top - 4}V{bottom}" stroke="{"#333" if step == 0 else "#ccc"}"/><text x="{at:.1f}" y="{top - 10}" text-anchor="middle">{2.0**step:g}×</text>')
    for i, r in enumerate(bars):
        y, begin, end = top + line * i, *sorted((x(1), x(r["ratio"])))
        color = "#888" if r["met"] is None else "#2a7" if r["met"] else "#c73"
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{html.escape(r["row"] + " / " + r["against"])}</text>'
                     f'<rect x="{begin:.1f}" y="{y + 4}" width="{max(1, end - begin):.1f}" height="{line - 8}" fill="{color}"/>'
                     f'<path d="M{x(r["ratio_min"]):.1f} {y + line / 2}H{x(r["ratio_max"]):.1f}" stroke="#000" stroke-width="2"/>'
                     f'<text x="{left + width + 8}" y="{y + 16}">{number(r["ratio"])}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{bottom + 16}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')
