"""Where the server processes may listen, and what their command lines accept."""

import argparse
import dataclasses
from ipaddress import ip_network

import pytest

from config import env
from config.env import EnvironmentProblem
from config.processes import check_gateway_address, port_number, process_count


@pytest.fixture
def environment() -> env.Environment:
    return dataclasses.replace(env.load(), gateway_auth="network", gateway_allow=())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.1.2.3", "192.168.0.9", "fd00::1"])
def test_a_gateway_without_credentials_listens_on_addresses_of_its_own_network(
    host: str, environment: env.Environment
) -> None:
    check_gateway_address(host, environment)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "2001:4860::1", "gateway.example"])
def test_a_gateway_without_credentials_refuses_an_address_that_strangers_reach(
    host: str, environment: env.Environment
) -> None:
    with pytest.raises(EnvironmentProblem, match="KEYSTEAD_GATEWAY_AUTH=token"):
        check_gateway_address(host, environment)


def test_credentials_or_a_list_of_callers_open_any_address(environment: env.Environment) -> None:
    check_gateway_address("0.0.0.0", dataclasses.replace(environment, gateway_auth="token"))
    callers = (ip_network("10.0.0.0/8"),)
    check_gateway_address("0.0.0.0", dataclasses.replace(environment, gateway_allow=callers))


@pytest.mark.parametrize("text", ["-1", "65536", "http", "", "1.5", "８０"])
def test_a_port_is_a_whole_number_that_ports_have(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        port_number(text)


@pytest.mark.parametrize("text", ["0", "65", "many", "-2"])
def test_processes_are_counted_from_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        process_count(text)
