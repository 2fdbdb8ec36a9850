"""The Lab's form: which task, network and clip policy, how long; checked before anything is started."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import streamlit as st

from graddiag.jobs.values import JobRequest
from graddiag.lab import plan_pair, training_spec, unused_experiment
from graddiag.lab.demonstration import CHAPTERS
from graddiag.lab.settings.declared import declared
from graddiag.lab.spec import NetworkName, TaskName, TrainingSpec
from graddiag.lab.tasks import make_task
from ui.root import named_root

OWN: Final = "none"
STARTS: Final = {  # the pairs of docs/demonstration.md, by what they show
    OWN: None,
    "text: an RNN explodes, clipping tames it": "demo-text-rnn",
    "text: an LSTM takes the same learning rate": "demo-text-lstm",
    "order over 30 timesteps: clipping decides": "demo-order-30-rnn",
    "order over 50 timesteps: an RNN vanishes": "demo-order-50-rnn",
    "order over 50 timesteps: an LSTM reaches back": "demo-order-50-lstm",
}
MOST_SEEDS: Final = 10
NUMBERS: Final = ("steps", "length", "hidden", "lr")
SETTINGS: Final = {setting.name: setting for setting in declared(TrainingSpec)}
LR: Final = (
    "Without momentum or decay. The value offered suits the task and network. On text it is high on purpose: an RNN "
    "that is not clipped explodes there."
)
_DRAWN: Final = "what the form showed"

Chosen = Mapping[str, Any]


def choose_training() -> Chosen:
    """Draws the form; gives what is chosen, by the names of the settings; all but where it starts is in the address."""
    first = st.columns(4)
    first[0].selectbox("Example", STARTS, key="start_from", on_change=_fill)
    task = _choice(first[1], "task", get_args(TaskName))
    model = _choice(first[2], "model", get_args(NetworkName))
    clip = first[3].text_input(
        SETTINGS["clip"].shown.label,
        "norm:0.5",
        max_chars=40,
        key="clip",
        bind="query-params",
        help=f"The first arm never clips. {SETTINGS['clip'].help}",
    )
    suits = training_spec(task, model).model_dump()
    second = st.columns(6, vertical_alignment="bottom")
    chosen = {
        "task": task,
        "model": model,
        "clip": clip,
        "steps": _whole(second[0], "steps", suits),
        "length": _whole(second[1], "length", suits),
        "hidden": _whole(second[2], "hidden", suits),
        "lr": second[3].number_input(
            SETTINGS["lr"].shown.label,
            min_value=1e-6,
            value=suits["lr"],
            format="%g",
            key="lr",
            bind="query-params",
            help=f"{SETTINGS['lr'].help} {LR}",
        ),
        "layers": _whole(second[4], "layers", suits),
        "seeds": second[5].number_input(
            "Seeds (one pair per seed)",
            min_value=1,
            max_value=MOST_SEEDS,
            value=1,
            step=1,
            key="seeds",
            bind="query-params",
        ),
    }
    st.session_state[_DRAWN] = chosen
    return chosen


def training_request(chosen: Chosen) -> JobRequest:
    """What is to be started for what was chosen.

    Raises:
        SettingError: a setting that cannot be meant; the message names it.
        InputError: a text that cannot be used.
    """
    root = named_root()
    settings = {name: value for name, value in chosen.items() if name not in ("task", "model", "seeds")}
    seeds = tuple(range(chosen["seeds"]))
    spec = training_spec(chosen["task"], chosen["model"], seed=0, **settings)
    make_task(spec)  # refuses a length that the task cannot have
    experiment = unused_experiment(spec, root)
    plans = plan_pair(spec, seeds, experiment)
    named = {"task": chosen["task"], "model": chosen["model"], **settings, "seeds": ",".join(map(str, seeds))}
    arguments = [part for name, value in named.items() for part in (f"--{name}", f"{value}")]
    return JobRequest(
        title=experiment,
        arguments=("pair", *arguments, "--experiment", experiment, "--root", root),
        experiment=experiment,
        steps=sum(plan.spec.steps for plan in plans),
        settings={name: str(value) for name, value in named.items()},
    )


def _choice(place: Any, name: str, options: Sequence[str]) -> str:
    setting = SETTINGS[name]
    chosen: str = place.selectbox(
        setting.shown.label, options, key=name, on_change=_suit, bind="query-params", help=setting.help
    )
    return chosen


def _whole(place: Any, name: str, suits: Mapping[str, Any]) -> int:
    setting = SETTINGS[name]
    value: int = place.number_input(
        setting.shown.label,
        min_value=1,
        max_value=setting.shown.most,
        value=suits[name],
        step=1,
        key=name,
        bind="query-params",
        help=setting.help,
    )
    return value


def _suit() -> None:
    """Another task or network: the numbers that suit it."""
    suits = training_spec(st.session_state.task, st.session_state.model).model_dump()
    _set({name: suits[name] for name in NUMBERS} | {"start_from": OWN})


def _fill() -> None:
    """The settings of a pair of the demonstration; what it leaves open takes what suits its task and network."""
    chapters = {chapter.experiment: chapter for chapter in CHAPTERS}
    chosen = STARTS[st.session_state.start_from]
    if chosen is None:
        return
    settings = chapters[chosen].settings
    suits = {name: getattr(training_spec(**settings), name) for name in ("task", "model", "clip", "layers", *NUMBERS)}
    _set(suits | {"seeds": len(chapters[chosen].seeds)})


def _set(settings: Mapping[str, Any]) -> None:
    """All but what was typed since the form was drawn: the address has that already, and it is meant."""
    drawn, now = st.session_state.get(_DRAWN, {}), st.session_state
    now.update({name: value for name, value in settings.items() if name not in drawn or now[name] == drawn[name]})
