"""What gives way where memory is short: first the context, then the length of a step, then experts, layers, the GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.fit.budgets import Budgets
from localai_app.fit.kv_cache import CELL_STEP
from localai_app.fit.longest_context import longest_context
from localai_app.fit.memory import ModelMemory, Moment
from localai_app.fit.placement import Gpus, Layout, Placer
from localai_app.fit.result import Request, Verdict
from localai_app.fit.shares import Placement

SHORTEST_CTX = 4096
"""A context that nobody asked for is not shortened below this many tokens."""
LONGEST_CTX = 1_048_576
"""Where the model does not say what it was trained for."""
SHORT_UBATCH = 256
"""Steps in which prompts are read where longer ones would make the verdict worse: half the buffers, slower prompts."""
_RANK = {Verdict.GPU: 3, Verdict.GPU_PARTIAL: 2, Verdict.CPU: 1, Verdict.NO: 1}


class Choice(msgspec.Struct, frozen=True):
    """A verdict with the plan that it stands for, and the placer that made it."""

    verdict: Verdict
    placement: Placement
    placer: Placer


class Chooser:
    """Chooses for one model on one computer. What the request fixes is kept; everything else is planned around it."""

    def __init__(self, memory: ModelMemory, budgets: Budgets, request: Request) -> None:
        self._placer = Placer(memory, budgets.host)
        self._request = request
        self._kv_type = request.kv_type
        self._budgets = budgets
        self._trained = memory.geometry.ctx_train or LONGEST_CTX
        wanted = request.ctx if request.ctx is not None else request.default_ctx
        self._target = max(1, min(wanted, self._trained))
        self._shortest = self._target if request.ctx is not None else min(SHORTEST_CTX, self._target)
        self._sets = budgets.gpu_sets
        self._all_layers = self._placer.all_layers
        layers = request.gpu_layers if self._sets else None
        self.fixed_layers = None if layers is None else max(0, min(layers, self._all_layers))
        self._has_experts = bool(memory.sums.experts)
        self._fixed_experts = self._experts_wish(memory.blocks)
        self._short_placer: Placer | None = None
        self._left_bytes = budgets.pool_bytes - memory.sums.file_bytes

    def choose(self) -> Choice:
        """The best verdict that is possible, with the longest context up to the wanted one."""
        if self._spare(self._placer.memory.at(self._shortest, self._kv_type)) < 0:
            return Choice(Verdict.NO, self._placer.on_cpu(self._shortest, self._kv_type), self._placer)
        for verdict, plan in self._levels():
            for placer in self._placers():
                placement = plan(placer)
                if placement is not None:
                    return Choice(verdict, placement, placer)
        return Choice(Verdict.NO, self._placer.on_cpu(self._shortest, self._kv_type), self._placer)

    def max_ctx(self, verdict: Verdict, kv_type: KvType) -> int:
        """The longest context with at least this verdict (`no`: with which it runs at all); 0 where there is none."""
        planned = self._placer.memory.planned
        if planned is not None and kv_type in planned.refused:
            return 0
        *_others, placer = self._placers()
        rank, at, layers = _RANK[verdict], placer.memory.at, self.fixed_layers or self._all_layers
        shortest = min(CELL_STEP, self._trained)
        if not self._sets:
            return longest_context(lambda ctx: placer.cpu_room(at(ctx, kv_type)), shortest, self._trained)
        if rank == _RANK[Verdict.GPU]:
            return longest_context(lambda ctx: self._whole_room(placer, layers, at(ctx, kv_type)), shortest, self._trained)
        return longest_context(lambda ctx: self._room(placer, rank, at(ctx, kv_type)), shortest, self._trained)

    def limits(self, verdict: Verdict) -> dict[KvType, int]:
        """`max_ctx` for every KV type. By formula smaller types never take more, so the ends often tell what lies between."""
        memory = self._placer.memory
        if memory.planned is not None or not memory.sums.is_aligned:
            return {kv_type: self.max_ctx(verdict, kv_type) for kv_type in KvType}
        if verdict is Verdict.NO and not self.max_ctx(verdict, KvType.Q4_0):
            return dict.fromkeys(KvType, 0)
        least = self.max_ctx(verdict, KvType.F16)
        most = least if least == self._trained else self.max_ctx(verdict, KvType.Q4_0)
        between = least if most == least else self.max_ctx(verdict, KvType.Q8_0)
        return {KvType.F16: least, KvType.Q8_0: between, KvType.Q4_0: most}

    def _experts_wish(self, blocks: int) -> int | None:
        wish = self._request.experts_on_cpu
        return None if wish is None else max(0, min(wish, blocks)) if self._has_experts else 0

    def _placers(self) -> Iterator[Placer]:
        """For steps of the wanted length, and for shorter ones as the last resort."""
        yield self._placer
        if self._placer.memory.ubatch > SHORT_UBATCH:
            if self._short_placer is None:
                self._short_placer = Placer(self._placer.memory.with_ubatch(SHORT_UBATCH), self._budgets.host)
            yield self._short_placer

    def _levels(self) -> Iterator[tuple[Verdict, Callable[[Placer], Placement | None]]]:
        """Verdicts from the best to the worst, each with what to try for it."""
        fixed = self.fixed_layers
        if fixed != 0 and self._sets:
            layers = self._all_layers if fixed is None else fixed
            is_whole = layers == self._all_layers and not self._fixed_experts
            yield Verdict.GPU if is_whole else Verdict.GPU_PARTIAL, lambda placer: self._whole(placer, layers)
            if self._has_experts and self._fixed_experts is None:
                yield Verdict.GPU_PARTIAL, lambda placer: self._without_some_experts(placer, layers)
            if fixed is None:
                yield Verdict.GPU_PARTIAL, self._with_fewer_layers
        if not fixed:
            yield Verdict.CPU, self._on_cpu

    def _whole(self, placer: Placer, layers: int) -> Placement | None:
        """That many layers on as few GPUs as do it, with the longest context up to the wanted one."""
        experts, memory = self._fixed_experts or 0, placer.memory
        for wanted in dict.fromkeys((self._target, self._shortest)):
            for chosen in self._sets:
                def room(ctx: int, chosen: Gpus = chosen) -> int:
                    return placer.room(chosen, Layout(layers, experts, memory.at(ctx, self._kv_type)))

                if room(wanted) >= 0:
                    ctx = wanted if wanted == self._target else longest_context(room, wanted, self._target)
                    return placer.placed(chosen, Layout(layers, experts, memory.at(ctx, self._kv_type)))
        return None

    def _without_some_experts(self, placer: Placer, layers: int) -> Placement | None:
        """That many layers on GPUs, experts of as few blocks as possible in main memory, at the wanted context if it fits."""
        memory = placer.memory
        ctx = longest_context(
            lambda ctx: self._expert_room(placer, layers, memory.at(ctx, self._kv_type)), self._shortest, self._target)
        if not ctx:
            return None
        at = memory.at(ctx, self._kv_type)
        layouts = [(chosen, Layout(layers, count, at)) for chosen in self._sets
                   if (count := placer.fewest_expert_blocks(chosen, layers, at)) is not None]
        fitting = [pair for pair in layouts if placer.room(*pair) >= 0]
        return placer.placed(*min(fitting, key=lambda pair: pair[1].expert_blocks)) if fitting else None

    def _with_fewer_layers(self, placer: Placer) -> Placement | None:
        """At the context that was wanted if main memory allows it: a shorter one wins a layer or two, no more."""
        memory = placer.memory
        ctx = longest_context(
            lambda ctx: self._fewer_room(placer, memory.at(ctx, self._kv_type)), self._shortest, self._target)
        if not ctx:
            return None
        at = memory.at(ctx, self._kv_type)
        for experts in self._experts_of_fewer():
            layouts = [(chosen, Layout(placer.most_layers(chosen, experts, at), experts, at)) for chosen in self._sets]
            fitting = [pair for pair in layouts if pair[1].gpu_layers > 1 and placer.room(*pair) >= 0]
            if fitting:
                return placer.placed(*max(fitting, key=lambda pair: pair[1].gpu_layers))
        return None

    def _on_cpu(self, placer: Placer) -> Placement | None:
        memory = placer.memory
        ctx = longest_context(
            lambda ctx: placer.cpu_room(memory.at(ctx, self._kv_type)), self._shortest, self._target)
        return placer.on_cpu(ctx, self._kv_type) if ctx else None

    def _experts_of_fewer(self) -> tuple[int, ...]:
        """Where not all layers fit, no block keeps its experts on the GPU; unless main memory is what is short."""
        if self._fixed_experts is not None:
            return (self._fixed_experts,)
        return (self._placer.memory.blocks, 0) if self._has_experts else (0,)

    def _room(self, placer: Placer, rank: int, at: Moment) -> int:
        """Bytes that are left for the best way to reach a verdict of that rank or better; negative: none reaches it."""
        spare = self._spare(at)
        if spare < 0:
            return spare
        rooms = []
        for room in self._rooms(placer, rank):
            left = room(at)
            if left >= 0:
                return left
            rooms.append(left)
        return max(rooms)

    def _spare(self, at: Moment) -> int:
        """What weights and cache alone leave of all memory together; negative: no way to place them can fit."""
        return self._left_bytes - at.kv(0, self._all_layers - 1)

    def _rooms(self, placer: Placer, rank: int) -> Iterator[Callable[[Moment], int]]:
        fixed = self.fixed_layers
        layers = fixed or self._all_layers
        if fixed != 0 and self._sets:
            yield lambda at: self._whole_room(placer, layers, at)
            if rank == _RANK[Verdict.GPU]:
                return
            if self._has_experts and self._fixed_experts is None:
                yield lambda at: self._expert_room(placer, layers, at)
            if fixed is None:
                yield lambda at: self._fewer_room(placer, at)
        if not fixed and rank == _RANK[Verdict.CPU]:
            yield placer.cpu_room

    def _whole_room(self, placer: Placer, layers: int, at: Moment) -> int:
        """On the GPUs that have most room together, and else on fewer of them."""
        layout = Layout(layers, self._fixed_experts or 0, at)
        if len(self._sets) == 1:
            return placer.room(self._sets[0], layout)
        rooms = []
        for chosen in reversed(self._sets):
            left = placer.room(chosen, layout)
            if left >= 0:
                return left
            rooms.append(left)
        return max(rooms)

    def _expert_room(self, placer: Placer, layers: int, at: Moment) -> int:
        def room(chosen: Gpus) -> int:
            count = placer.fewest_expert_blocks(chosen, layers, at)
            if count is not None:
                return placer.host_room(chosen, Layout(layers, count, at))
            return min(placer.room(chosen, Layout(layers, placer.memory.blocks, at)), -1)

        return max(room(chosen) for chosen in self._sets)

    def _fewer_room(self, placer: Placer, at: Moment) -> int:
        def room(chosen: Gpus, experts: int) -> int:
            layers = placer.most_layers(chosen, experts, at)
            if layers > 1:
                return placer.host_room(chosen, Layout(layers, experts, at))
            return min(placer.room(chosen, Layout(min(2, self._all_layers - 1), experts, at)), -1)

        return max(room(chosen, experts) for chosen in self._sets for experts in self._experts_of_fewer())
