#!/usr/bin/env python3
"""Checks that the dashboard and the alerts ask only for metrics that docs/metrics.md explains.

    ci/metric_names.py                          # against the documentation
    ci/metric_names.py http://localhost:9090    # also asks a running Prometheus each query
"""

import json
import pathlib
import re
import sys
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of Prometheus itself.
OTHERS = {"up"}
# Series that are there only from the first occurrence on.
MAY_BE_EMPTY = {
    "error_counts",
    "sidecar_closed_connections_total",
    "sidecar_missed_node_ids_total",
    "sidecar_skipped_messages_total",
}


def documented():
    """Families in the first column of the tables; a name that ends in `*` stands for all that begin so."""
    text = (ROOT / "docs/metrics.md").read_text()
    return set(re.findall(r"^\| `([a-z_]+\*?)` \|", text, re.MULTILINE))


def dashboard_queries():
    for path in sorted((ROOT / "ci/grafana/dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            yield f"{path.name}: ${variable['name']}", variable["query"]


def alert_queries():
    text = (ROOT / "ci/prometheus/alerts.yml").read_text()
    found = re.findall(r"- alert: (\w+)\n +expr: (.+)\n", text)
    if len(found) != text.count("- alert:"):
        sys.exit("alerts.yml: each alert is to have its expr in the line below, in one line")
    for name, query in found:
        yield f"alerts.yml: {name}", query


def metrics_in(query):
    """What stands where a metric can stand: no function, keyword, label or text."""
    query = re.sub(r'"[^"]*"', "", query)
    query = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)", " ", query)
    query = re.sub(r"^label_values\((\w+),.*\)$", r"\1", query)
    words = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()", query)
    return {word for word in words if word not in {"or", "and", "unless", "bool", "by", "on"}}


def family(metric, families):
    for name in (metric, re.sub(r"_(bucket|sum|count)$", "", metric)):
        for known in families:
            if name == known or (known.endswith("*") and name.startswith(known[:-1])):
                return known
    return None


def ask(prometheus, query):
    query = query.replace("$__rate_interval", "1m").replace("$instance", ".*")
    url = f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def main():
    families = documented()
    problems, used, asked = [], set(), 0
    for kind, queries in (("dashboard", dashboard_queries()), ("alerts", alert_queries())):
        for where, query in queries:
            metrics = metrics_in(query)
            if not metrics:
                problems.append(f"{where}: no metric in `{query}`")
            for metric in metrics - OTHERS:
                if family(metric, families) is None:
                    problems.append(f"{where}: docs/metrics.md knows no `{metric}`")
            used |= metrics
            if len(sys.argv) > 1 and not query.startswith("label_values"):
                asked += 1
                found = ask(sys.argv[1], query)
                if kind == "dashboard" and not found and not metrics & MAY_BE_EMPTY:
                    problems.append(f"{where}: nothing comes of `{query}`")
    for problem in problems:
        print(problem, file=sys.stderr)
    live = f", {asked} queries answered" if asked else ""
    print(f"{len(used)} metrics in the dashboard and the alerts, {len(families)} families documented{live}")
    sys.exit(bool(problems))


main()
