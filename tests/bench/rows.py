"""The comparisons, each with its goals."""
import dataclasses
import statistics
from typing import Callable, Optional

from engines import CONTEXT, beside, reading
from process import busy_loop
from streams import STREAMS


@dataclasses.dataclass
class Goal:
    """Met where the ratio or the share of the machine's limit is reached; `most`: where the first value is below."""
    ratio: Optional[float] = None
    share: Optional[float] = None
    most: Optional[float] = None      # of our value
    most_ratio: Optional[float] = None
    unit: str = "s"                   # of `most`

    def text(self):
        parts = [f"≥ {self.ratio:g}" if self.ratio else "", f"≥ {100 * self.share:.0f} % of the limit" if self.share else "", f"≤ {self.most:g} {self.unit}" if self.most else "",
                 f"≤ {self.most_ratio:g}" if self.most_ratio else ""]
        return " or ".join(part for part in parts if part)

    def met(self, ours, ratio, share):
        return bool((self.ratio and ratio and ratio >= self.ratio) or (self.share and share and share >= self.share) or (self.most and ours <= self.most)
                    or (self.most_ratio and ratio and ratio <= self.most_ratio))


@dataclasses.dataclass
class Row:
    """`ours` gives (value, rates or None), `theirs` a value; what they need is made when the row's turn comes."""
    name: str
    ours: Callable
    theirs: Optional[Callable] = None
    against: str = "llama.cpp"
    limits: Optional[Callable] = None  # machine -> the most that each rate can be
    share: Callable = sum              # of the shares of the limits: their sum where one work follows the other, the largest where they go on together
    unit: str = "tokens/s"
    rate_unit: str = ""                # of the first rate
    goals: dict = dataclasses.field(default_factory=dict)  # kernels -> Goal
    most_pairs: int = 1000

    def pair(self):
        value, rate = self.ours()
        return value, self.theirs() if self.theirs else None, rate

    def result(self, pairs, machines, kernels):
        """`machines`: the limits measured before and after the pairs."""
        ours = statistics.median(value for value, _, _ in pairs)
        ratios = sorted(value / other for value, other, _ in pairs) if self.theirs else []
        rates = [rate for _, _, rate in pairs if rate]
        limits = [self.limits(machine) for machine in machines] if self.limits and rates else []
        share = statistics.median(self.share(rate[name] / max(limit[name] for limit in limits) for name in rate) for rate in rates) if limits else None
        first = next(iter(rates[0])) if rates else None
        ratio = statistics.median(ratios) if ratios else None
        goal = self.goals.get(kernels)
        return {"row": self.name, "against": self.against, "unit": self.unit, "ours": ours, "theirs": statistics.median(other for _, other, _ in pairs) if self.theirs else None,
                "ratio": ratio, "ratio_min": ratios[0] if ratios else None, "ratio_max": ratios[-1] if ratios else None, "rate": statistics.median(rate[first] for rate in rates) if rates else None,
                "rate_unit": self.rate_unit, "limit": max(limit[first] for limit in limits) if limits else None, "share": share, "goal": goal.text() if goal else "", "met": goal.met(ours, ratio, share) if goal else None,
                "pairs": pairs}


def both(ratio, share=None):
    return {"avx512": Goal(ratio, share), "avx2": Goal(ratio, share)}


def each(avx512, avx2):
    return {"avx512": Goal(*avx512), "avx2": Goal(*avx2)}


def most(value=None, ratio=None, unit="s"):
    return {kernels: Goal(most=value, most_ratio=ratio, unit=unit) for kernels in ("avx512", "avx2")}


class Rows:
    def __init__(self, ours, theirs, models, threads):
        self.ours, self.theirs, self.models, self.threads = ours, theirs, models, threads
        self.half, self.quarter = max(1, threads // 2), max(1, threads // 4)

    def all(self):
        for group in (self.prefills, self.decodes, self.long_decodes, self.ranks_as_threads, self.against_split, self.four_ranks, self.starts, self.crowds, self.paths):
            yield from group()

    # ---- limits

    def of_limits(self, work, form):
        """-> what a row holds its rates against. Prefill: the products, and after them attention in the numbers of the KV cache. Decode: reading, and products meanwhile."""
        def most_of(by_threads):
            return by_threads[max((n for n in by_threads if int(n) <= self.threads), key=int)]

        def limits(machine):
            rates = most_of(machine["arithmetic"])
            bf16 = rates["bf16_gflops"] or rates["f32_gflops"]
            return {"products": rates["int8_gops"] if form.startswith("Q") else bf16 if form == "BF16" else rates["f32_gflops"], "attention": bf16, "memory": most_of(machine["read_gbps"])}
        return {"limits": limits, "share": sum if work.get("prefill") else max, "rate_unit": "GOP/s" if work.get("prefill") else "GB/s"}

    # ---- kinds of rows

    def versus(self, number, shape, form, work, goals):
        return Row(f"{number} {title(work)}, {shape} {form}", lambda: self.ours.bench(self.models.path(shape, form), work, self.threads),
                   lambda: self.theirs.bench(self.models.path(shape, form), work, self.threads), goals=goals, **self.of_limits(work, form))

    def divided(self, number, work, tp, pp, threads, processes, goals, shape="SmolLM2"):
        ranks = "processes" if processes else "threads"
        return Row(f"{number} {title(work)}, {shape} Q4_0: TP {tp}{f' × PP {pp}' if pp > 1 else ''}, {ranks}, {threads} thread{'s' * (threads > 1)} each",
                   lambda: self.ours.bench(self.models.path(shape, "Q4_0"), work, threads, tp, pp, processes),
                   lambda: self.ours.bench(self.models.path(shape, "Q4_0"), work, self.threads)[0], f"1 × {self.threads} threads", goals=goals, **self.of_limits(work, "Q4_0"))

    def prefills(self):
        for form, goals in (("Q4_0", each((2.5,), (1.8,))), ("Q4_1", each((8,), (3.8,))), ("Q8_0", each((4,), (2,))), ("BF16", each((1.8,), (1.6,))), ("F16", {})):
            yield self.versus(1, "SmolLM2", form, {"prefill": 512}, goals)
        yield self.versus(2, "SmolLM2", "Q4_0", {"prefill": 4096}, each((4,), (3,)))
        for form, goals in (("Q4_0", each((2.7,), (1.8,))), ("Q8_0", each((4,), (2,))), ("Q4_K", each((3,), (1.7,))), ("Q6_K", each((3,), (1.7,)))):
            yield self.versus(3, "1B", form, {"prefill": 512}, goals)

    def decodes(self):
        for form in ("Q4_0", "Q4_1", "Q8_0", "BF16"):
            yield self.versus(4, "SmolLM2", form, {"streams": 1}, each((1.5 if form == "BF16" else 2.2, 0.8), (1.5, 0.8)))
        yield self.versus(5, "1B", "Q4_0", {"streams": 1}, each((1.6, 0.8), (1.5, 0.9)))
        yield self.versus(5, "1B", "Q8_0", {"streams": 1}, each((1.3, 0.8), (1.25, 0.9)))
        for form in ("Q4_0", "Q4_1"):
            yield self.versus(6, "SmolLM2", form, {"streams": 8}, each((3,), (2,)))
        for form in ("Q4_0", "Q4_1", "BF16"):
            yield self.versus(6, "SmolLM2", form, {"streams": 32}, each((3.5,), (2.5,)))

    def long_decodes(self):
        for work in ({"context": 4096}, {"context": 8000}, {"context": 16000}, {"context": 4096, "streams": 8}):
            row = self.versus(7, "SmolLM2", "Q4_0", work, both(3.5, 0.6))
            yield row if work == {"context": 4096} else dataclasses.replace(row, most_pairs=3)  # minutes each, nearly all of it prefill

    def ranks_as_threads(self):
        """The 3 KV heads of SmolLM2 do not divide by two ranks, those of the 1B shape do."""
        for shape, work, ratio in (("SmolLM2", {"streams": 1}, 0.95), ("SmolLM2", {"context": 4096}, 0.75), ("SmolLM2", {"prefill": 512}, 0.95),
                                   ("SmolLM2", {"prefill": 4096}, 0.75), ("1B", {"streams": 1}, 0.95), ("1B", {"prefill": 512}, 0.95)):
            yield self.divided(8, work, 2, 1, self.half, False, both(ratio), shape)

    def against_split(self):
        for mode, ratio in (("tensor", 20), ("layer", 2.2)):
            for work in ({"streams": 1}, {"prefill": 512}):
                goals = {} if "prefill" in work else both(ratio)
                yield Row(f"9 {title(work)}, SmolLM2 Q4_0: TP 2, processes, 1 thread each", lambda work=work: self.ours.bench(self.models.path("SmolLM2", "Q4_0"), work, 1, 2, 1, True),
                          lambda work=work, mode=mode: self.theirs.split(self.models.path("SmolLM2", "Q4_0"), work, mode), f"llama.cpp, {mode} split over 2 servers",
                          goals=goals, **self.of_limits(work, "Q4_0"))

    def four_ranks(self):
        for work in ({"streams": 1}, {"streams": 8}, {"prefill": 512}):
            yield self.divided(10, work, 2, 2, self.quarter, True, both(0.85))

    def starts(self):
        """With the file in the page cache."""
        def start(tp, pp):
            path = self.models.path("SmolLM2", "Q4_0")
            reading(path)
            return self.ours.start(path, tp, pp), None

        def loading():
            path = self.models.path("1B", "F16")
            reading(path)
            return self.ours.loading(path), None
        for tp, pp, seconds in ((1, 1, 0.6), (2, 2, 1.2)):
            yield Row(f"11 start to first token, SmolLM2 Q4_0: {f'TP {tp} × PP {pp}, processes' if tp > 1 else 'one process'}", lambda tp=tp, pp=pp: start(tp, pp), against="", unit="s",
                      goals=most(seconds))
        yield Row("11 loading, 1B F16", loading, lambda: reading(self.models.path("1B", "F16")), "cat > /dev/null", unit="s", goals=most(ratio=1.5))

    def crowds(self):
        """A foreign program that wants a core, beside as many threads as there are cores, and beside four ranks."""
        def ours(noise, tp=1, pp=1, threads=self.threads):
            with beside(noise):
                return self.ours.bench(self.models.path("SmolLM2", "Q4_0"), {"streams": 1}, threads, tp, pp, tp * pp > 1)

        def theirs(noise):
            with beside(noise):
                return self.theirs.bench(self.models.path("SmolLM2", "Q4_0"), {"streams": 1}, self.threads)
        name = "12 decode, SmolLM2 Q4_0, beside a busy loop"
        yield Row(f"{name}: {self.threads} threads", lambda: ours(busy_loop), lambda: ours(None)[0], "the same, quiet", goals=both(0.6))
        yield Row(f"{name}: TP 2 × PP 2, {self.quarter} each", lambda: ours(busy_loop, 2, 2, self.quarter), lambda: ours(None, 2, 2, self.quarter)[0], "the same, quiet", goals=both(0.6))
        yield Row(f"{name}: {self.threads} threads of llama.cpp", lambda: (theirs(busy_loop), None), lambda: theirs(None), "the same, quiet")
        yield Row(f"{name}: {self.threads} threads", lambda: ours(busy_loop), lambda: theirs(busy_loop), "llama.cpp beside the loop")

    def paths(self):
        yield Row(f"13 {STREAMS} sampled streams over HTTP, SmolLM2 Q4_0: CPU time beside the ranks", lambda: (self.ours.beside_the_model(self.models.path("SmolLM2", "Q4_0")), None),
                  against="", unit="%", goals=most(5, unit="%"), most_pairs=3)


def title(work):
    if "prefill" in work:
        return f"prefill {work['prefill']}"
    streams, context = work.get("streams", 1), work.get("context", CONTEXT)
    return f"decode, {streams} stream{'s' * (streams > 1)}" + (f" at {context}" if context != CONTEXT else "")
