"""The arithmetic of a plan, against cases that were computed by hand."""

import dataclasses
import textwrap

import pytest

from t0jax.cli.plan import describe, steps_of
from t0jax.cli.recipe import read_run
from t0jax.config import MeshConfig
from t0jax.errors import InputError
from t0jax.pods.compiler import Compiled, DoesNotFit, Request, refusal
from t0jax.pods.hlo import Program, read_program
from t0jax.pods.plan import Plan, as_json, cycles_by_part, estimate, memory
from t0jax.pods.prices import price_of
from t0jax.pods.search import as_flags, best_of, candidates, find_fit, remedies, with_bindings
from t0jax.pods.topology import CHIPS, GIB, parse_topology, shapes

TEXT = textwrap.dedent("""
    HloModule jit_step, is_scheduled=true

    %cond (p: (s32[], bf16[4,8])) -> pred[] {
      %constant.1 = s32[] constant(24)
      %p = (s32[], bf16[4,8]{1,0:T(8,128)(2,1)}) parameter(0)
      ROOT %compare = pred[] compare(%p, %constant.1), direction=LT
    }

    %start.fused (q: bf16[1,8]) -> (bf16[1,8], bf16[4,8]) {
      %q = bf16[1,8]{1,0} parameter(0)
      %all-gather.1 = bf16[4,8]{1,0} all-gather(%q), channel_id=7, replica_groups=mesh['a'=2,'b'=4] {'b'}, dimensions={0}
      ROOT %custom-call.1 = (bf16[1,8]{1,0}, bf16[4,8]{1,0}) custom-call(%all-gather.1), custom_call_target="AsyncCollectiveStart"
    }

    %done.fused (q: bf16[1,8]) -> bf16[4,8] {
      %q = bf16[1,8]{1,0} parameter(0)
      ROOT %all-gather.2 = bf16[4,8]{1,0} all-gather(%q), channel_id=7, replica_groups=mesh['a'=2,'b'=4] {'b'}, dimensions={0}
    }

    %all-reduce-scatter.fused (q: f32[16]) -> f32[2] {
      %q = f32[16]{0} parameter(0)
      %all-reduce.3 = f32[16]{0} all-reduce(%q), channel_id=9, replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
      ROOT %slice = f32[2]{0} dynamic-slice(%all-reduce.3)
    }

    %body (p: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
      %p = (s32[], bf16[4,8]{1,0:T(8,128)(2,1)}) parameter(0)
      %fusion.1 = (bf16[1,8]{1,0}, bf16[4,8]{1,0}) fusion(%p), kind=kCustom, calls=%start.fused, backend_config={"estimated_cycles":"5"}
      %fusion.2 = bf16[4,8]{1,0} fusion(%p), kind=kLoop, calls=%done.fused, metadata={op_name="jit(step)/jvp(T5)/encoder/mlp/dot"}, backend_config={"estimated_cycles":"100"}
      %kernel.4 = bf16[4,8]{1,0} custom-call(%p), custom_call_target="tpu_custom_call"
      ROOT %tuple = (s32[], bf16[4,8]{1,0}) tuple(%p, %fusion.2)
    }

    ENTRY %main (a: bf16[4,8]) -> f32[2] {
      %a = bf16[4,8]{1,0} parameter(0)
      %while.1 = (s32[], bf16[4,8]{1,0:T(8,128)(2,1)}) while(%a), condition=%cond, body=%body
      %fusion.3 = f32[2]{0} fusion(%a), kind=kCustom, calls=%all-reduce-scatter.fused, metadata={op_name="jit(step)/transpose(jvp(T5))/decoder/self_attention/x"}, backend_config={"estimated_cycles":"30"}
      %all-reduce.5 = f32[10]{0} all-reduce(%a), channel_id=11, replica_groups=[4,2]<=[8], to_apply=%add
      %send = (f32[6]{0}, u32[], token[]) send(%a), channel_id=2, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",_xla_megascale_transfer_type="ALL_REDUCE"}
      ROOT %r = f32[2]{0} copy(%fusion.3), backend_config={"estimated_cycles":"7"}
    }
""")  # noqa: E501


def test_loops_count_as_often_as_they_run_and_asynchronous_collectives_once() -> None:
    program = read_program(TEXT, devices=8, slices=2)
    assert program.cycles == 24 * (5 + 100) + 30 + 7
    assert program.ici_bytes == {
        "all-gather": 24 * 4 * 8 * 2 * 3 // 4,  # three quarters of 4 x 8 bfloat16 come from the others, 24 times
        "reduce-scatter": 16 * 4 * 7 // 8,
        "all-reduce": 2 * 10 * 4 * 1 // 2,
    }
    assert program.collectives == {"all-gather": 24, "reduce-scatter": 1, "all-reduce": 1}
    assert program.kernels == {"kernel": 24}
    assert program.dcn_bytes == 6 * 4  # two slices: each sends a half and then the other's sum of it
    parts = {"forward encoder mlp": 2400, "optimizer and the rest": 127, "backward decoder self_attention": 30}
    assert cycles_by_part(program) == parts


PROGRAM = Program(cycles=1_750_000_000, dcn_bytes=625_000_000)
PROGRAM.ici_bytes["all-gather"] = 135_000_000_000


def plan_of(program: Program = PROGRAM, steps: int = 43_200, price: float | None = 2.0) -> Plan:
    run = read_run(["runs/t0_3b.gin"], is_sketch=True)
    compiled = Compiled(20 * GIB, {"parameters": 2 * GIB, "optimizer": GIB}, GIB, 11_000_000_000, 60.0, program)
    return Plan(run, parse_topology("v5p:2x2x4"), steps, price, compiled)


def test_seconds_follow_from_cycles_and_bytes() -> None:
    cost = estimate(PROGRAM, parse_topology("v5p:2x2x4"), flops=16 * 459 * 10**12 // 2)
    assert (cost.compute, cost.ici, cost.dcn, cost.ideal) == (1.0, 0.5, 0.1, 0.5)
    assert (cost.best, cost.worst) == (1.0, pytest.approx(1.6))
    assert cost.mfu(cost.best) == 0.5


def test_days_and_dollars_follow_from_seconds() -> None:
    plan = plan_of()
    assert plan.days(1.0) == 0.5
    assert plan.dollars(1.0) == 0.5 * 24 * 16 * 2.0
    assert plan_of(price=None).dollars(1.0) is None
    assert as_json(plan)["days"]["best"] == 0.5


def test_what_fills_memory_adds_up_to_its_peak() -> None:
    compiled = plan_of().compiled
    assert isinstance(compiled, Compiled)
    assert sum(memory(compiled).values()) == compiled.peak_bytes
    assert memory(compiled)["gradients, activations and workspace"] == 16 * GIB


def test_a_plan_is_said_in_lines_for_a_person() -> None:
    lines = "\n".join(describe(plan_of(), "list price of 2025-06"))
    assert "v5p:2x2x4 (v5p-32): 16 chips, 4 hosts" in lines
    assert "20.00 of 95.74 GiB a chip: parameters 2.00, optimizer 1.00, batch 1.00" in lines
    assert "43,200 steps: 0.50 to 0.80 days, 384 to 614 dollars at 2.00 a chip and hour" in lines
    refused = dataclasses.replace(plan_of(), compiled=DoesNotFit(100 * GIB, 96 * GIB, 1.0))
    assert "DOES NOT FIT: a chip needs 100.00 GiB and has 95.74 (4.26 too many)" in "\n".join(describe(refused, ""))


@pytest.mark.parametrize(
    ("message", "figures"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (298.02G) exceeds "
            "available HBM (15.75G).",
            (round(298.02 * GIB), round(15.75 * GIB)),
        ),
        (
            "RESOURCE_EXHAUSTED: ... Used 16.50G of 15.75G hbm.",
            (round(16.5 * GIB), round(15.75 * GIB)),
        ),
        ("RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem.", None),
        ("INTERNAL: something else about hbm", None),
    ],
)
def test_a_refusal_says_how_much_is_needed(message: str, figures: tuple[int, int] | None) -> None:
    assert refusal(message) == figures


def test_slices_have_the_sizes_and_types_that_google_gives_them() -> None:
    v4 = parse_topology("v4-256")
    assert (v4.name, v4.chips, v4.hosts, v4.accelerator_type) == ("v4:4x4x8", 128, 32, "v4-256")
    v5e = parse_topology("v5litepod-32", slices=2)
    assert (str(v5e), v5e.chips, v5e.hosts, v5e.accelerator_type) == ("2 x v5e:4x8", 64, 16, "v5litepod-32")
    assert parse_topology("v5p:4x4x12").accelerator_type == "v5p-384"
    assert parse_topology("v5p-384").name == "v5p:4x4x12"
    for chip in CHIPS.values():
        sizes = [parse_topology(f"{chip.name}:{'x'.join(map(str, shape))}").chips for shape in shapes(chip)]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == chip.most_chips


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v5p:3x3x3", r"There is no slice v5p:3x3x3: of 27 chips. Near it there are v5p:2x2x4 \(v5p-32\)"),
        ("v5p-33", "There is no accelerator type v5p-33. Near it there are"),
        ("v6e:16x32", "no slice v6e:16x32: of 512 chips"),
        ("v7:2x2", "no TPU that t0jax can plan for: v4, v5e, v5p, v6e"),
        ("sixteen", "names no TPU slice: write its shape or its accelerator type"),
    ],
)
def test_a_slice_that_there_is_not_is_refused_with_its_neighbours(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_topology(text)


def test_prices_come_from_the_dated_table_or_are_given() -> None:
    chip = CHIPS["v5e"]
    listed = price_of(chip, "on_demand")
    assert listed is not None
    assert listed.dollars > 0
    assert "list price of 20" in listed.described
    given = price_of(chip, "anything", 0.5)
    assert given is not None
    assert given.dollars == 0.5
    with pytest.raises(InputError, match=r"knows no 'on-demand'.*Did you mean on_demand"):
        price_of(chip, "on-demand")
    with pytest.raises(InputError, match="--price is -1"):
        price_of(chip, "on_demand", -1)


def test_steps_are_counted_from_where_training_begins() -> None:
    run = read_run(["runs/t0_3b.gin"], is_sketch=True)
    assert steps_of(run, None) == 12_200  # the recipe says +12_200
    absolute = read_run(["runs/t0_3b.gin"], ["TRAIN_STEPS=1_112_200", "INITIAL_CHECKPOINT_PATH=gs://x/checkpoint_1100000"])
    assert steps_of(absolute, None) == 12_200
    assert steps_of(absolute, 1_112_000) == 200
    with pytest.raises(InputError, match="nothing to plan"):
        steps_of(absolute, 1_112_200)


def test_the_cheapest_remedy_that_fits_is_proposed() -> None:
    run = read_run(["runs/mini_t0.gin"], is_sketch=True)
    request = Request(with_bindings(run, {"ModelConfig.remat": "none"}), parse_topology("v5e:4x4"))
    tried = [dict(bindings) for bindings in remedies(request)]
    assert [one["ModelConfig.remat"] for one in tried[:2]] == ["minimal", "full"]
    assert as_flags({"ModelConfig.remat": "full"}) == "--gin.ModelConfig.remat=full"

    def fits_in_four_parts(asked: Request) -> Plan:
        is_small = asked.run.train.microbatches >= 4
        compiled = plan_of().compiled if is_small else DoesNotFit(GIB, GIB, 1.0)
        return Plan(asked.run, asked.topology, 1, 1.0, compiled)

    found = find_fit(request, fits_in_four_parts)
    assert found is not None
    assert found[0]["TrainConfig.microbatches"] == 4
    assert found[0]["ModelConfig.remat"] == "full"

    def fits_on_64_chips(asked: Request) -> Plan:
        compiled = plan_of().compiled if asked.topology.chips >= 64 else DoesNotFit(GIB, GIB, 1.0)
        return Plan(asked.run, asked.topology, 1, 1.0, compiled)

    larger = find_fit(request, fits_on_64_chips)
    assert larger is not None
    assert larger[1].topology.name == "v5e:8x8"


def test_the_best_plans_are_those_that_none_beats_in_both_days_and_dollars() -> None:
    def at(seconds: float, price: float) -> Plan:
        return plan_of(Program(cycles=round(seconds * 1.75e9)), price=price)

    fast, cheap, worse, dear = at(1.0, 4.0), at(2.0, 1.0), at(2.5, 1.0), at(1.5, 4.0)
    refused = dataclasses.replace(fast, compiled=DoesNotFit(GIB, GIB, 1.0))
    assert best_of([worse, dear, cheap, refused, fast]) == [fast, cheap]


def test_a_search_tries_each_layout_once() -> None:
    run = read_run(["runs/t0_3b.gin"], is_sketch=True)
    assert run.mesh == MeshConfig(data=1, fsdp=-1)
    tried = [tuple(sorted(bindings.items())) for bindings, _ in candidates(run, [parse_topology("v5p:2x2x4")])]
    assert len(tried) == len(set(tried)) == 3 * 3  # meshes with tensor 1, 2 and 4; three remat policies
