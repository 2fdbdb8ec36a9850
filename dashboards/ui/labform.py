"""The Lab's form: which task, network and clip policy, how long; checked before anything is started."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from graddiag.jobs.values import Request
from graddiag.lab import plan_pair, training_spec, unused_experiment
from graddiag.lab.spec import DEFAULTS
from ui.root import runs_root

TASKS: Final = ("text", "temporal-order")
ABOUT: Final = "text: predict the next character of real prose. temporal-order: recall which of two symbols came first."
MODELS: Final = ("rnn", "lstm", "gru")
NUMBERS: Final = {"steps": 300, "length": 100, "hidden": 128, "lr": 3.0}
MOST_STEPS: Final = 100_000
POLICIES: Final = (
    "The first arm never clips, the second by this. norm:C, the norm of all gradients together; value:C, each entry; "
    "agc:C, each unit against its weights; auto:P and zclip, by the norms so far."
)

Chosen = Mapping[str, Any]


def choose() -> Chosen:
    """Draws the form; gives what is chosen, by the names of the settings."""
    first = st.columns(3)
    task = first[0].selectbox("Task", TASKS, key="task", on_change=_suit, bind="query-params", help=ABOUT)
    model = first[1].selectbox("Network", MODELS, key="model", on_change=_suit, bind="query-params")
    clip = first[2].text_input(
        "Clip policy of the second arm", "norm:0.5", max_chars=40, key="clip", bind="query-params", help=POLICIES
    )
    suits = {**NUMBERS, **DEFAULTS[task, model]}
    second = st.columns(5)
    return {
        "task": task,
        "model": model,
        "clip": clip,
        "steps": _whole(second[0], "Steps of each run", "steps", suits, MOST_STEPS),
        "length": _whole(second[1], "Timesteps T", "length", suits, 2000),
        "hidden": _whole(second[2], "Units", "hidden", suits, 2000),
        "lr": second[3].number_input(
            "Learning rate", min_value=1e-6, value=suits["lr"], format="%g", key="lr", bind="query-params"
        ),
        "seeds": _whole(second[4], "Seeds, a pair each", "seeds", {"seeds": 1}, 10),
    }


def request(chosen: Chosen) -> Request:
    """What is to be started for what was chosen.

    Raises:
        SettingError: a setting that cannot be meant; the message names it.
    """
    root = runs_root()
    settings = {name: value for name, value in chosen.items() if name not in ("task", "model", "seeds")}
    seeds = tuple(range(chosen["seeds"]))
    spec = training_spec(chosen["task"], chosen["model"], seed=0, **settings)
    experiment = unused_experiment(spec, root)
    plans = plan_pair(spec, seeds, experiment)
    named = {"task": chosen["task"], "model": chosen["model"], **settings, "seeds": ",".join(map(str, seeds))}
    arguments = [part for name, value in named.items() for part in (f"--{name}", f"{value}")]
    return Request(
        title=experiment,
        arguments=("pair", *arguments, "--experiment", experiment, "--root", str(root)),
        experiment=experiment,
        steps=sum(plan.spec.steps for plan in plans),
        settings={name: str(value) for name, value in named.items()},
    )


def _whole(place: Any, label: str, key: str, suits: Mapping[str, Any], most: int) -> int:
    value: int = place.number_input(
        label, min_value=1, max_value=most, value=suits[key], step=1, key=key, bind="query-params"
    )
    return value


def _suit() -> None:
    """Another task or network: the numbers that suit it."""
    for name, value in DEFAULTS[st.session_state.task, st.session_state.model].items():
        if name in NUMBERS:
            st.session_state[name] = value
