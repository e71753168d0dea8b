"""Parts of the record that tell how far its numbers can be trusted, and how near they come to the machine's limits."""

from __future__ import annotations

from pydantic import Field

from bench.records.model import AtLeastOne, Bounded, Count, Model, NonNegative, Positive, Share


class Energy(Model):
    """Energy of repeated requests, read from a counter around a window.

    Attributes:
        source: ``NVML`` or ``RAPL``.
        joules_per_1000_users: What the device drew in the window, idle power included, over the users answered.
        power_w: Mean power in the window.
        idle_power_w: Mean power in a window of the same length without requests.
        window_s: Length of the window.
        updates: How often the counter moved in it.

    """

    source: str
    joules_per_1000_users: NonNegative
    power_w: NonNegative
    idle_power_w: NonNegative
    window_s: Positive
    updates: Count


class Roofline(Model):
    """What the machine could do at best, measured on it, and how near a request comes.

    Attributes:
        flops_per_s: Rate of the fastest matrix product in the case's dtype, with the case's threads.
        bytes_per_s: Read and written by the fastest large copy, or read by the fastest large sum.
        cache_bytes: What the last-level cache may hold from one request to the next.
        flops: Floating-point operations of one request.
        bytes: What its operators read and wrote, each for itself.
        touched_bytes: Weights, index and inputs that it reads, each byte once.
        bound_s: The greater of ``flops / flops_per_s`` and ``(touched_bytes - cache_bytes) / bytes_per_s``: what no
            implementation of the same arithmetic in the same dtype can beat on this machine.

    """

    flops_per_s: Positive
    bytes_per_s: Positive
    cache_bytes: Count = 0
    flops: NonNegative
    bytes: NonNegative
    touched_bytes: NonNegative
    bound_s: NonNegative


class MachineState(Model):
    """What the machine was doing at one moment; None where it does not tell."""

    load_average: NonNegative | None = None
    cpu_mhz: NonNegative | None = None
    governor: str | None = None
    gpu_sm_mhz: Count | None = None
    gpu_memory_mhz: Count | None = None
    gpu_temperature_c: int | None = None
    gpu_power_w: NonNegative | None = None
    gpu_throttled: list[str] = Field(default=[])


class Conditions(Model):
    """Under what conditions a case was timed.

    Attributes:
        before: The machine before the first turn of the case.
        after: The machine after its last.
        threads: CPU threads that computed.
        affinity: Cores that the process might use.
        involuntary_switches: How often the system took the core away while the case was timed.
        other_cores: Cores that other processes kept busy while the case was timed, on average.
        stolen: Share of the time that the host gave to other virtual machines.
        disturbed_turns: Turns during which the machine was disturbed, and that could not be repeated any more.
        repeated_turns: Turns that were taken again because the machine was disturbed.
        unstable: Why the numbers are to be distrusted; empty where they are not.

    """

    before: MachineState
    after: MachineState
    threads: AtLeastOne
    affinity: AtLeastOne | None = None
    involuntary_switches: Count | None = None
    other_cores: NonNegative | None = None
    stolen: Share | None = None
    disturbed_turns: Count = 0
    repeated_turns: Count = 0
    unstable: str = ""


class Overhead(Bounded):
    """What timing adds to a call: the same request timed one by one, and in a bare loop, in turns.

    Attributes:
        seconds: Median difference.
        low, high: Its 95 % interval.
        allowed_s: 2 % of the call, or 20 microseconds, whichever is larger.

    """

    seconds: float
    allowed_s: NonNegative


class Repeats(Bounded):
    """Is a user who asks again answered sooner? Then answers are kept, and latency is not what it says.

    Attributes:
        pairs: How many fresh requests were repeated.
        ratio: Median time of the second over that of the first.
        low, high: Its 95 % interval.

    """

    pairs: AtLeastOne
    ratio: Positive
    low: Positive
    high: Positive
