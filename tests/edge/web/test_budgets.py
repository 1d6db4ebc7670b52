"""Limits on strangers: clients, attempts and places, with clocks and addresses that tests set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.web.attempts import Attempts
from edge.web.client import Client, client_of
from edge.web.places import Place, Places


class TestClient:
    @pytest.mark.parametrize(
        ("address", "share", "loopback"),
        [
            ("192.0.2.7", "192.0.2.7", False),
            ("::ffff:192.0.2.7", "192.0.2.7", False),
            ("::ffff:c000:207", "192.0.2.7", False),
            ("127.0.0.9", "127.0.0.9", True),
            ("::ffff:127.0.0.9", "127.0.0.9", True),
            ("::1", "::1", True),
            ("2001:db8:1:2::7", "2001:db8:1:2::/64", False),
            ("2001:db8:1:2:ffff::7", "2001:db8:1:2::/64", False),
            # Strangers share these networks: each address counts for itself.
            ("fe80::7%eth0", "fe80::7", False),
            ("64:ff9b::192.0.2.7", "64:ff9b::c000:207", False),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
            # An address that only says that it stands for loopback is not of this machine.
            ("2002:7f00:1::1", "2002:7f00:1::/64", False),
            ("64:ff9b::127.0.0.1", "64:ff9b::7f00:1", False),
            ("", "unknown", False),
            ("nonsense", "nonsense", False),
        ],
    )
    def test_share(self, address: str, share: str, loopback: bool) -> None:
        client = client_of(address)
        assert (client.share, client.is_loopback) == (share, loopback)

    def test_a_provider_gives_a_customer_more_than_one_64(self) -> None:
        one, other = client_of("2001:db8:1:2::7"), client_of("2001:db8:1:3::7")
        assert one.share != other.share
        assert one.site == other.site != client_of("2001:db8:2::7").site

    def test_logs_show_an_ipv4_address_as_one(self) -> None:
        assert client_of("::ffff:192.0.2.7").address == "192.0.2.7"
        assert client_of(None).address == "unknown"


class Guesser:
    """Tries tokens, at times that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.attempts = Attempts(lambda: self.now, self.said.append)

    def guess(self, address: str, door: str = "header") -> bool:
        """Whether a wrong token was checked."""
        client = client_of(address)
        looked = self.attempts.wait(client, door) == 0  # type: ignore[arg-type]
        if looked:
            self.attempts.failed(client, door)  # type: ignore[arg-type]
        return looked

    def owner(self, address: str, door: str = "header") -> bool:
        """Whether the right token was checked."""
        client = client_of(address)
        looked = self.attempts.wait(client, door) == 0  # type: ignore[arg-type]
        if looked:
            self.attempts.succeeded(client)
        return looked


class TestAttempts:
    def test_ten_at_once_and_then_ten_a_minute(self) -> None:
        it = Guesser()
        assert [it.guess("192.0.2.7") for _ in range(12)] == [True] * 10 + [False] * 2
        looked = 0
        for _ in range(600):
            it.now += 0.1
            looked += it.guess("192.0.2.7")
        assert 9 <= looked <= 10

    def test_others_have_their_own(self) -> None:
        it = Guesser()
        for number in range(12):
            it.guess(f"2001:db8:0:1::{number:x}")
        assert not it.owner("2001:db8:0:1:ffff::1")
        for address in ("2001:db8:0:2::1", "192.0.2.1", "127.0.0.1", "::1", "::ffff:192.0.2.9"):
            assert it.owner(address), address

    def test_mapped_addresses_are_not_one_client(self) -> None:
        it = Guesser()
        for _ in range(12):
            it.guess("::ffff:192.0.2.7")
        assert not it.owner("::ffff:192.0.2.7")
        assert it.owner("::ffff:192.0.2.8")
        assert it.owner("::ffff:127.0.0.1")

    def test_a_picture_on_a_foreign_page_uses_up_one_door_only(self) -> None:
        it = Guesser()
        for _ in range(100):
            it.guess("192.0.2.7", "address")
        assert not it.owner("192.0.2.7", "address")
        assert it.owner("192.0.2.7", "form")
        assert it.owner("192.0.2.7", "header")

    def test_two_hundred_guessers_cannot_guess_two_hundred_times_as_much(self) -> None:
        it = Guesser()
        crowd = [f"198.51.{number // 250}.{number % 250}" for number in range(200)]
        looked = 0
        for _ in range(600):  # ten minutes, each guesser once a second
            it.now += 1.0
            looked += sum(it.guess(address) for address in crowd)
        assert looked < 1200

    def test_a_newcomer_is_let_in_while_two_hundred_guess(self) -> None:
        it = Guesser()
        crowd = [f"198.51.{number // 250}.{number % 250}" for number in range(200)]
        for second in range(60):
            it.now += 1.0
            for address in crowd:
                it.guess(address)
            assert it.owner(f"192.0.2.{second}"), second

    def test_a_client_that_knew_the_token_is_not_held_up_by_guessers(self) -> None:
        it = Guesser()
        assert it.owner("192.0.2.7")
        for number in range(5000):
            it.guess(f"10.{number // 62500}.{number // 250 % 250}.{number % 250}")
        assert it.owner("192.0.2.7")
        assert not it.owner("192.0.2.8"), "the budget of newcomers holds, too"
        it.now += 60
        assert it.owner("192.0.2.8")

    def test_a_guesser_with_a_48_of_his_own_is_soon_no_newcomer(self) -> None:
        it = Guesser()
        for number in range(60_000):
            it.guess(f"2001:db8:1:{number:x}::1")
        assert it.owner("192.0.2.8")
        assert it.owner("2001:db8:2::1")

    def test_it_is_said_once_a_minute(self) -> None:
        it = Guesser()
        for _ in range(1200):
            it.now += 0.1
            it.guess("::ffff:192.0.2.7")
        assert len(it.said) == 2
        assert all(line.startswith("Too many wrong tokens from 192.0.2.7:") for line in it.said)

    def test_memory_is_bounded(self) -> None:
        it = Guesser()
        for number in range(30_000):
            client = client_of(f"10.{number // 62500}.{number // 250 % 250}.{number % 250}")
            it.attempts.wait(client, "header")
            it.attempts.failed(client, "header")
            it.attempts.succeeded(client)
        assert len(it.attempts) <= 3 * 4096


ELSEWHERE = [client_of(f"192.0.2.{number}") for number in range(20)]
HERE = client_of("127.0.0.1")


class Crowd:
    """Takes places, and notes which clients had to leave."""

    def __init__(self, most: int, spared: int = 0) -> None:
        self.places = Places(most, spared)
        self.left: list[str] = []

    def force(self, client: Client, name: str = "") -> Place | None:
        return self.places.force(client, lambda: self.left.append(name))

    def ask(self, client: Client, name: str = "") -> Place | None:
        return self.places.ask(client, lambda: self.left.append(name))


class TestPlaces:
    def test_a_client_that_takes_many_places_takes_them_from_itself(self) -> None:
        crowd = Crowd(8)
        crowd.force(ELSEWHERE[0], "other")
        for number in range(100):
            assert crowd.force(ELSEWHERE[1], f"greedy {number}")
        assert crowd.left == [f"greedy {number}" for number in range(93)]
        assert len(crowd.places) == 8

    def test_of_equal_clients_the_one_that_was_idle_longest_leaves(self) -> None:
        crowd = Crowd(3)
        places = [crowd.force(ELSEWHERE[number], str(number)) for number in range(3)]
        assert places[0] is not None
        crowd.places.used(places[0])
        crowd.force(ELSEWHERE[3])
        assert crowd.left == ["1"]

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_a_new_client_is_heard_before_busy_ones(self, at_once: int) -> None:
        crowd = Crowd(8, spared=4)
        strangers = [crowd.force(ELSEWHERE[number], "stranger") for number in range(8)]
        mine = [crowd.force(ELSEWHERE[8], "owner") for _ in range(at_once)]
        for number in range(5 - at_once):
            for place in strangers:
                assert place is not None
                crowd.places.used(place)
            assert crowd.left == ["stranger"] * (at_once + number)
            crowd.force(ELSEWHERE[9 + number], "stranger")
        assert None not in mine
        crowd.force(ELSEWHERE[19], "stranger")
        assert crowd.left[-1] == "owner"

    def test_the_same_behind_one_address(self) -> None:
        crowd = Crowd(8, spared=4)
        strangers = [crowd.force(ELSEWHERE[0], "stranger") for _ in range(8)]
        crowd.force(ELSEWHERE[0], "owner")
        for _ in range(3):
            for place in strangers[1:]:
                assert place is not None
                crowd.places.used(place)
            crowd.force(ELSEWHERE[0], "stranger")
        assert crowd.left == ["stranger"] * 4

    def test_many_clients_at_once_still_take_places_from_themselves(self) -> None:
        crowd = Crowd(8, spared=4)
        for number in range(3):
            crowd.force(ELSEWHERE[number], "other")
        for _ in range(100):
            crowd.force(ELSEWHERE[3], "greedy")
        assert crowd.left == ["greedy"] * 95

    def test_clients_on_this_machine_leave_last(self) -> None:
        crowd = Crowd(6)
        for _ in range(5):
            crowd.force(HERE, "here")
        for _ in range(10):
            crowd.force(ELSEWHERE[0], "elsewhere")
        assert crowd.left == ["elsewhere"] * 9
        crowd.force(HERE, "here")
        assert crowd.left == ["elsewhere"] * 10

    def test_a_place_that_is_kept_and_in_use_is_given_to_nobody(self) -> None:
        crowd = Crowd(2)
        mine = [crowd.force(ELSEWHERE[0], "owner") for _ in range(2)]
        for place in mine:
            assert place is not None
            crowd.places.keep(place, True)
        assert crowd.force(HERE, "stranger") is None
        assert mine[1] is not None
        mine[1].idle = True
        assert crowd.force(ELSEWHERE[1], "stranger")
        assert crowd.left == ["owner"]
        for _ in range(5):
            assert crowd.force(ELSEWHERE[2], "stranger")
        assert crowd.left == ["owner", *["stranger"] * 5]

    def test_long_places_are_shared_out_and_stay_so(self) -> None:
        crowd = Crowd(4)
        for _ in range(4):
            assert crowd.ask(ELSEWHERE[0], "first")
        assert crowd.ask(ELSEWHERE[0], "first") is None
        assert crowd.ask(ELSEWHERE[1], "second")
        assert crowd.ask(ELSEWHERE[1], "second")
        assert crowd.left == ["first", "first"]
        assert crowd.ask(ELSEWHERE[1], "second") is None, "two each"
        assert crowd.ask(ELSEWHERE[0], "first") is None
        assert crowd.ask(ELSEWHERE[2], "third")
        assert crowd.left == ["first", "first", "first"]

    def test_this_machine_always_gets_one(self) -> None:
        crowd = Crowd(4)
        for number in range(4):
            assert crowd.ask(ELSEWHERE[number], "elsewhere")
        assert crowd.ask(ELSEWHERE[4], "elsewhere") is None
        assert crowd.ask(HERE, "here")
        assert crowd.ask(HERE, "here") is None

    @given(
        st.lists(st.tuples(st.sampled_from(["force", "ask", "free", "keep", "used"]), st.integers(0, 7)), max_size=200)
    )
    def test_there_are_never_more_than_that(self, steps: list[tuple[str, int]]) -> None:
        crowd = Crowd(5)
        held: list[Place] = []
        for step, number in steps:
            if step in ("force", "ask"):
                place = getattr(crowd, step)(ELSEWHERE[number])
                if place is not None:
                    held.append(place)
            elif held:
                place = held[number % len(held)]
                {
                    "free": crowd.places.free,
                    "keep": lambda place: crowd.places.keep(place, not place.kept),
                    "used": crowd.places.used,
                }[step](place)
            assert len(crowd.places) <= 5
        for place in held:
            crowd.places.free(place)
        assert len(crowd.places) == 0
