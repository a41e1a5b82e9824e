"""Specs, and the options that flags are made from."""

import dataclasses

import pytest

from tfdistill.config import Options, option, parse_spec
from tfdistill.config.command import flags_of


def top_k(*, k, sort=True):
    """An entry that needs an argument."""


KNOWN = {"top_k": top_k, "plain": lambda: None}


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("top_k(k=10)", {"k": 10}),
        (" top_k( k = all , sort=false) ", {"k": "all", "sort": False}),
        ("top_k(k=-1.5e3)", {"k": -1500.0}),
        ("top_k(k=[0, 2])", {"k": [0, 2]}),
        ("top_k(k='a b')", {"k": "a b"}),
        ("top_k(k=None, sort=True)", {"k": None, "sort": True}),
    ],
)
def test_specs(text, arguments):
    spec = parse_spec(text, KNOWN)
    assert (spec.name, dict(spec.arguments)) == ("top_k", arguments)
    assert parse_spec("plain", KNOWN).arguments == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected name"),
        ("top_k(10)", "Expected name"),
        ("top_k(**x)", "Expected name"),
        ("a.b(k=1)", "Expected name"),
        ("top_k(k=1", "Expected name"),
        ("(" * 500, "Expected name"),
        ("top_k", "lacks k"),
        ("top_p(k=1)", "Known: plain, top_k"),
        ("top_k(n=1)", "Known: k, sort"),
        ("plain(k=1)", "Known: none"),
        ("top_k(k=open('x'))", "neither a literal"),
        ("top_k(k=1+2j*x)", "neither a literal"),
    ],
)
def test_wrong_specs(text, message):
    with pytest.raises(ValueError, match=message):
        parse_spec(text, KNOWN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes(Options):
    """Sizes."""

    width: int = option(4, "Width.", minimum=1, maximum=8)
    rate: float = option(0.5, "Rate.", minimum=0.0)
    kind: str = option("a", "Kind.", choices=("a", "b"))
    many: tuple[str, ...] = option((), "Many.")
    on: bool = option(True, "On.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "--width=0 is not at least 1"),
        ({"width": 9}, "--width=9 is not at most 8"),
        ({"width": 1.0}, "not of type int"),
        ({"width": True}, "not of type int"),
        ({"rate": float("nan")}, "not a finite number"),
        ({"rate": -1}, "at least 0"),
        ({"kind": "c"}, "one of a, b"),
        ({"many": ["x"]}, "not of type tuple"),
        ({"on": 1}, "not of type bool"),
    ],
)
def test_options_validate_themselves(wrong, message):
    with pytest.raises(ValueError, match=message):
        Sizes(**wrong)


def test_options_become_flagfile_lines():
    assert flags_of(Sizes(many=("x", "y"), width=2)) == [
        "--width=2",
        "--rate=0.5",
        "--kind=a",
        "--many=x",
        "--many=y",
        "--on=True",
    ]
