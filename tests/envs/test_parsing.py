"""From reply to act: lenient with form, never a guess, never an exception."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.parsing import (
    Parsed,
    as_asked,
    clean,
    parse,
    private_parts,
    single_line,
    strip_private,
)
from omar_envs.types import CHOOSE, SPEAK, Request

LABELS = ("Ana", "Bruno", "Zoë", "Weiß", "abstain")
VOTE = Request(CHOOSE, "Whom?", LABELS)
TALK = Request(SPEAK, "Speak.", max_chars=50)
QUIET = Request(SPEAK, "Speak.", max_chars=50, may_pass=True)
any_text = st.text(st.characters(exclude_categories=[]))
fragments = st.sampled_from(
    [
        *("<think>", "</think>", "<THINK >", "</ think>", "<think", "<", ">", "/", "think", "\n"),
        *(
            "Ana",
            "bruno",
            "not ",
            "vote: ",
            '{"vote": "Ana"}',
            "{",
            "}",
            '"',
            " ",
            "\x00",
            "\ud83d",
        ),
        *("\u2028", "abstain", "or ", ", ", "x", "n't ", "is ", ":", "=", "\u202e", "🐺"),
    ]
)
soup = st.lists(fragments | any_text, max_size=12).map("".join)


def chosen(reply: object, labels: Sequence[str] = LABELS) -> str | None:
    parsed = parse(Request(CHOOSE, "Whom?", tuple(labels)), reply)
    assert parsed.valid == (parsed.error == "")
    assert parsed.valid == (parsed.text != "")
    return parsed.text or None


# --- choices ------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_every_label_is_accepted_verbatim(label: str) -> None:
    assert chosen(label) == label


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "form",
    [
        *("{}.", " {}\n", '"{}"', "'{}'", "**{}**", "`{}`", "“{}”", "({})", "[{}]", "<{}>", "{}!!"),
        *(
            "I vote for {}.",
            "My vote: {}",
            "vote={}",
            "Vote : **{}**",
            "**Vote**: {}",
            "{}, please",
        ),
        *("Final answer: {}", "The answer is: {}", "I choose\n\n{}\n", "Hmm… {}'s the one."),
        *('{{"vote": "{}"}}', '{{"target": ["{}"]}}', '```json\n{{"choice": "{}"}}\n```', '"{}'),
        *("<think>Ana or Bruno?</think>{}", "Ana? Bruno?</think> {}", "<think>\n</think>\n{}"),
    ],
)
def test_lenient_forms(form: str, label: str) -> None:
    for spelling in (label, label.upper(), label.lower()):
        assert chosen(form.format(spelling)) == label


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("Ana accused Bruno, so I think it over.\nVote: Bruno", "Bruno"),
        ("Bruno defended Ana.\n\nAna", "Ana"),
        ('{"reasoning": "Ana lied to Bruno", "vote": "Bruno"}', "Bruno"),
        ('{"action": "vote", "target": "Ana"}', "Ana"),
        ('{"vote": "I pick Ana"}', "Ana"),
        ("Ana Ana Ana", "Ana"),
        ("Vote: Ana (Bruno is lying)", "Ana"),
    ],
)
def test_a_plain_statement_beats_names_in_passing(reply: str, label: str) -> None:
    assert chosen(reply) == label


@pytest.mark.parametrize(
    "reply",
    [
        *("Ana or Bruno", "Ana Bruno", "Ana, no wait, Bruno", "vote: Ana or Bruno", "Ana/Bruno"),
        *("Vote: Ana, Bruno", "Target: Ana, or perhaps Bruno", "vote: Ana\nvote: Bruno"),
        *("Ana\nBruno", '{"vote": "Ana", "vote": "Bruno"}', '{"vote": "Ana or Bruno"}'),
        *('{"suspicion": "Ana", "vote": "I pick Bruno"}', '{"a": "Ana", "b": "Bruno"}'),
        *('{"vote": "Ana", "more": {"x": "Bruno"}}', '{"vote": "Ana"} {"vote": "Bruno"}'),
        *('{"vote": ["Ana", "Bruno"]}', "Vote: Bruno. Answer: Ana", "I abstain, or Ana"),
        *("Vote: **Ana** and *Bruno*", 'vote: "Ana", "Bruno"', "vote: Bruno/Ana"),
    ],
)
def test_never_a_guess_between_two(reply: str) -> None:
    assert chosen(reply) is None
    assert parse(VOTE, reply).error == "the reply names more than one choice"


@pytest.mark.parametrize(
    "reply",
    [
        *("not Ana", "anyone but Ana", "I don't trust Ana", "I don’t want Ana", "never ever Ana"),
        *("I would never, ever vote for Ana", "everyone except Ana", "answer: not Ana"),
        *("I cannot vote for Ana", "Not Ana but Bruno", "without Ana"),
        *("", " \n ", "nobody", "Anabel", "Anastasia and Brunos", "an a", "Clara", "...", "{}"),
        *('{"vote": null}', '{"vote": 3}', '{"vote": "Clara"}', "null", "[]", "<think>Ana</think>"),
        *("<think>Ana", "Ana</think>", "<think>Ana</think", "<think>vote: Ana\n\nBruno"),
    ],
)
def test_nothing_chosen(reply: str) -> None:
    assert chosen(reply) is None


def test_a_label_inside_another_is_not_it() -> None:
    assert chosen("Ana Lee", ("Ana", "Ana Lee")) == "Ana Lee"
    assert chosen("I vote for Ana Lee", ("Ana", "Ana Lee")) == "Ana Lee"
    assert chosen("Anna", ("Ann", "Anna")) == "Anna"
    assert chosen("I say Ann", ("Ann", "Anna")) == "Ann"


@given(st.permutations(LABELS), st.text("aeknt ,.;!?-'()*"))
def test_no_choice_between_two_bare_names(labels: list[str], between: str) -> None:
    assert chosen(f"{labels[0]} {between} {labels[1]}") is None


@given(any_text | soup, st.lists(any_text, max_size=4).map(tuple), st.sampled_from(LABELS))
def test_parse_never_raises_and_returns_a_label_or_nothing(
    reply: str, labels: tuple[str, ...], label: str
) -> None:
    for request in (VOTE, Request(CHOOSE, "?", labels), Request(CHOOSE, "?", (label,))):
        parsed = parse(request, reply)
        assert parsed.text in request.choices or not parsed.valid
        assert parsed.valid == (parsed.error == "")


@pytest.mark.parametrize("reply", [None, 3, 3.5, b"Ana", ["Ana"], {"vote": "Ana"}, object(), True])
@pytest.mark.parametrize("request_", [VOTE, TALK])
def test_what_is_no_text_is_invalid(request_: Request, reply: Any) -> None:
    parsed = parse(request_, reply)
    assert parsed == Parsed("", False, f"the reply is a {type(reply).__name__}, not text")


# --- speech -------------------------------------------------------------------


@given(soup)
def test_speech_is_one_clean_line_of_bounded_length(reply: str) -> None:
    parsed = parse(TALK, reply)
    text = parsed.text
    assert parsed.valid == bool(text)
    assert len(text) <= TALK.max_chars
    assert text == text.strip()
    assert text.splitlines() in ([], [text])
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in text)
    text.encode()
    assert strip_private(text) == text, "a tag is left"
    json.loads(json.dumps(text))


def test_speech_is_cut() -> None:
    assert parse(TALK, "a" * 1_000_000) == Parsed("a" * 50, True, "")
    assert parse(TALK, "a" * 49 + " b") == Parsed("a" * 49, True, "")


@pytest.mark.parametrize(
    "reply", ["", " ", "\n\t", "<think>hm</think>", "<think>hm", "\u2028\u2029", "</think>"]
)
def test_silence_is_invalid(reply: str) -> None:
    assert parse(TALK, reply) == Parsed("", False, "the reply is empty")


@pytest.mark.parametrize(
    "reply",
    [
        *("", " \n", "<think>hm</think>", "<think>hm", "pass", "Pass.", " PASS!\n", '"pass"'),
        *("**pass**", "(pass)", "“pass”", "...pass...", "_pass_", "<think>shall I?</think> pass"),
        *("Shall I?</think>pass", "<pass>", "- pass -"),
    ],
)
def test_silence_where_it_may_pass(reply: str) -> None:
    assert parse(QUIET, reply) == Parsed("", True, "", exact=True)


@pytest.mark.parametrize(
    "reply", ["I pass", "pass Ana", "passed", "compass", "p ass", "pass\npass", "pass, pass"]
)
def test_pass_is_silence_only_as_the_one_word(reply: str) -> None:
    assert parse(QUIET, reply) == parse(TALK, reply)


@given(soup)
def test_may_pass_changes_nothing_else(reply: str) -> None:
    quiet, talk = parse(QUIET, reply), parse(TALK, reply)
    assert quiet.valid
    if quiet.text:
        assert quiet == talk
    else:
        assert not talk.text or talk.text.strip("_").casefold().count("pass") == 1


# --- the form that was asked for ----------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_a_verbatim_choice_is_exact(label: str) -> None:
    for form in ("{}", " {}\n", "<think>Ana or Bruno?</think>\n\n{}", "Bruno?</think> {}"):
        assert parse(VOTE, form.format(label)) == Parsed(label, True, "", exact=True)
    for form in ("{}.", '"{}"', "I vote for {}", "vote: {}", "**{}**", '{{"vote": "{}"}}'):
        assert parse(VOTE, form.format(label)) == Parsed(label, True, "", exact=False)
    other = label.swapcase()
    assert parse(VOTE, other) == Parsed(label, True, "", exact=False)


@given(soup | st.text("ab ", min_size=45, max_size=60))
def test_speech_is_exact_unless_it_was_cut(reply: str) -> None:
    parsed, whole = parse(TALK, reply), parse(Request(SPEAK, "?", max_chars=10**9), reply)
    assert parsed.valid == whole.valid
    assert parsed.exact == (parsed.valid and parsed.text == whole.text)
    assert not parsed.exact or len(whole.text) <= TALK.max_chars


@given(any_text | soup, st.lists(any_text, max_size=4).map(tuple))
def test_what_is_invalid_is_not_exact(reply: str, labels: tuple[str, ...]) -> None:
    for request in (VOTE, TALK, QUIET, Request(CHOOSE, "?", labels)):
        parsed = parse(request, reply)
        assert parsed.valid or not parsed.exact


# --- short cuts ---------------------------------------------------------------


def spelled_out(character: str) -> str:
    """What ``clean`` and ``single_line`` make of one character, by the Unicode tables."""
    if character in "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029":
        return " "
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cs") else character


printable = st.lists(st.sampled_from(["a", "é", "🐺", "<", " ", "  "])).map("".join)
unusual = st.lists(st.sampled_from(["a", "\xa0", "\u3000", "\ufeff", " ", "\x7f"])).map("".join)


@given(printable | unusual | any_text | soup)
def test_plain_text_takes_a_short_cut_to_the_same_line(text: str) -> None:
    slow = "".join(spelled_out(character) for character in text)
    while "  " in slow:
        slow = slow.replace("  ", " ")
    assert single_line(clean(text)) == slow.strip()
    assert type(clean(np.str_(text))) is str


@given(printable | unusual | any_text | soup | st.sampled_from(LABELS))
def test_plain_replies_take_a_short_cut_to_the_same_act(reply: str) -> None:
    # A line break at the end and a tag at the beginning are nothing, but rule each short cut out.
    for request in (VOTE, TALK, QUIET):
        expected = parse(request, reply)
        assert parse(request, f"{reply}\n") == expected
        if "<" not in reply:
            assert parse(request, f"<think></think>{reply}") == expected


@given(
    printable | unusual | any_text | soup | st.sampled_from(LABELS) | st.text("ab ", min_size=45),
    st.lists(any_text | soup, max_size=4).map(tuple),
)
def test_what_is_plainly_as_asked_is_read_as_anything_is(
    text: str, labels: tuple[str, ...]
) -> None:
    for reply in filter(str.isprintable, (text, f"  {text}", *labels)):
        for request in (VOTE, TALK, QUIET, Request(CHOOSE, "?", labels)):
            plain, parsed = as_asked(request, reply), parse(request, reply)
            assert plain is None or parsed == Parsed(plain, True, "", exact=True)
            if reply in request.choices:
                assert plain == reply


@pytest.mark.parametrize("reply", ["hello", " hello ", "Is it Ana?", "a" * 40])
def test_most_speech_is_plainly_as_asked(reply: str) -> None:
    assert as_asked(TALK, reply) == reply.strip()


# --- pieces -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("<think>a</think>b", "b"),
        ("a<think>b</think>c", "a c"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("<think>a</think>b<think>c</think>d", "b d"),
        ("x<think>a<think>b</think>c</think>d", "x d"),
        ("<think>a<think>b</think>c", ""),
        ("a<think>b", "a"),
        ("a</think>b", "b"),
        ("a</think>b</think>c", "c"),
        ("<THINK>a</Think>b", "b"),
        ("<think foo='1'>a</think >b", "b"),
        ("< think>a< / think>b", "b"),
        ("<\n\nthink>a", ""),
        ("<think a</think>b", "b"),
        ("<think\na", ""),
        ("<think/>a", ""),
        ("a</think", ""),
        ("<thi<think>x</think>nk>a", "<thi nk>a"),
        ("<thinking>a</thinking>b", "<thinking>a</thinking>b"),
        ("I think so", "I think so"),
        ("1 < 2 > 0", "1 < 2 > 0"),
    ],
)
def test_private_reasoning_is_removed(text: str, public: str) -> None:
    assert strip_private(text).strip() == public


def test_other_tags() -> None:
    tags = ("think", "scratchpad")
    assert strip_private("<scratchpad>a</scratchpad>b<think>c</think>", tags).strip() == "b"
    assert strip_private("<think>a</think>", ()) == "<think>a</think>"
    assert list(private_parts("<scratchpad>a</scratchpad>b<think>c", tags)) == ["a", "c"]


@given(soup)
def test_public_and_private_parts_share_nothing(text: str) -> None:
    marked = text.replace("x", "")
    secret = f"{marked}<think>x</think>{marked}"
    assert "x" not in strip_private(secret)
    assert strip_private(strip_private(text)) == strip_private(text)


@given(any_text)
def test_clean_is_idempotent_and_makes_utf8(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert len(clean(text)) == len(text)
    assert "\x00" not in clean(text)
    clean(text).encode()


@given(any_text)
def test_single_line_has_no_line_break(text: str) -> None:
    assert len(single_line(clean(text)).splitlines()) <= 1


# --- size ---------------------------------------------------------------------

SIZE = 100_000


@pytest.mark.parametrize(
    "piece",
    [
        *("<", "< ", "<think", "<think ", "<think>", "</think>", "< / ", "<\n", "{", "{}", '{"a":'),
        *(
            "[",
            '{"vote":"x Ana"}',
            "vote:",
            "vote ",
            'vote:"',
            "vote: Ana, ",
            "vote: Ana or ",
            "vote",
        ),
        *(
            "not ",
            "not a ",
            "n't",
            "n't a b c ",
            "never, ",
            "Ana ",
            "Ana\n",
            "answer is ",
            " ",
            "\t",
        ),
        *("\n", "\u2028", "\ud800", "maybe or ", '"', "a", "is", "="),
    ],
)
def test_long_replies_are_read_in_time_proportional_to_their_length(piece: str) -> None:
    """Quadratic patterns would hang here: 100,000 characters squared take minutes."""
    body = piece * (SIZE // len(piece))
    parse(TALK, f"<think{body}")
    for reply in (f"vote: Ana{body}", f"not {body}!"):
        assert parse(VOTE, reply).text in ("Ana", "")


def test_a_megabyte_of_reasoning_stays_private() -> None:
    reasoning = "I am the wolf. " * 70_000
    assert len(reasoning) > 1_000_000
    for reply in (f"<think>{reasoning}</think>Hello", f"{reasoning}</think>Hello"):
        assert parse(TALK, reply).text == "Hello"
