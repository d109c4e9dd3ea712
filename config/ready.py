"""What `up` tells once everything answers: a summary for people and a file for scripts."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import env, first_secrets, ports

if TYPE_CHECKING:
    from config.up import Installation


def backend_key_file(installation: "Installation") -> Path:
    """Return where the demo's backend key is kept."""
    named = installation.prepared.get("backend_key_file")
    return Path(named) if named else installation.data_dir / "secrets" / "backend_key"


def facts(installation: "Installation") -> dict[str, Any]:
    """Return the content of the ready file. Absent parts are null."""
    prepared, demo = installation.prepared, installation.has_demo
    web_url = installation.variables["KEYSTEAD_PUBLIC_URL"]
    supervisor = installation.supervisor
    pids = {child.name: child.pid for child in supervisor.children}
    return {
        "web_url": web_url,
        "gateway_url": installation.variables["KEYSTEAD_GATEWAY_URL"],
        "backend_key": backend_key_file(installation).read_text().strip() if demo else None,
        "deployment_id": prepared.get("deployment_id") if demo else None,
        "app_slug": prepared.get("app_slug") if demo else None,
        "product_url": f"http://{ports.HOST}:{installation.product_port}" if demo else None,
        "admin_url": f"{web_url}/admin/",
        "admin_user": prepared.get("admin_user"),
        "admin_password": env.secret("ADMIN_PASSWORD", installation.variables),
        "database_url": installation.database_url,
        "pids": {
            "up": os.getpid(),
            "postgres": supervisor.postgres.pid if supervisor.postgres else None,
            "web": pids.get("web"),
            "gateway": [pid for name, pid in pids.items() if name.startswith("gateway")],
            "worker": pids.get("worker"),
            "product": pids.get("product"),
        },
    }


def write_file(installation: "Installation") -> None:
    """Write the ready file, where one is asked for."""
    if installation.options.ready_file is not None:
        first_secrets.write(installation.options.ready_file, json.dumps(facts(installation), indent=2) + "\n")


def announce(installation: "Installation") -> None:
    """Write the ready file and print the summary."""
    write_file(installation)
    known = facts(installation)
    rows = {
        "Product": known["product_url"] and f"{known['product_url']}  (its link “Manage API keys” opens the portal)",
        "Portal": f"{known['web_url']}  (entered by a ticket: through the product, or ./keystead ticket)",
        "Gateway": f"{known['gateway_url']}/v1/authz/check",
        "Admin": f"{known['admin_url']}  user {known['admin_user']}, password {known['admin_password']}",
        "Backend key": known["backend_key"],
        "Data": str(installation.data_dir),
    }
    lines = [f"  {name:<12}{value}" for name, value in rows.items() if value]
    print("\nKeystead is up.\n\n" + "\n".join(lines) + "\n", flush=True)
