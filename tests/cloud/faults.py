"""Stands between the deployer and EC2: writes every call down, and breaks those that a test wants broken.

A rule says what happens to calls of one action, from the moment it is set, in one region:

    {"action": "RunInstances",    which calls: an action, or a pattern such as "Describe*"
     "fault": "lost",             what happens to them, see below
     "skip": 0,                   so many of them pass first
     "times": 1,                  then so many are broken
     "since": "CreateTags"}       and none before a call of this action was answered

    throttled   refused with RequestLimitExceeded
    broken      500 InternalError, nothing was done
    refused     400 with the rule's "code" and "message"
    lost        done, and the connection ends without an answer
    held        done, and not answered before the rules change
    blind       what is asked for seems not to be there yet
"""

import fnmatch
import io
import re
import threading
import urllib.parse
from socket import SHUT_RDWR
from xml.sax.saxutils import escape

HOLD_SECONDS = 60
# Calls of the tests themselves say so here.
TEST_AGENT = "pretend-cloud-test"
CREDENTIAL = re.compile(r"Credential=[^/]+/[^/]+/([^/]+)/")
SETS = {
    "DescribeInstances": ("reservationSet", "InvalidInstanceID.NotFound"),
    "DescribeSecurityGroups": ("securityGroupInfo", "InvalidGroup.NotFound"),
    "DescribeSecurityGroupRules": ("securityGroupRuleSet", "InvalidGroup.NotFound"),
    "DescribeKeyPairs": ("keySet", "InvalidKeyPair.NotFound"),
}
IDS = re.compile(r"(InstanceId|GroupId|KeyName|KeyPairId)\.\d+")


class Faults:
    """A WSGI application around another."""

    def __init__(self, application):
        self._application = application
        # moto is not made for calls at the same time.
        self._one_at_a_time = threading.Lock()
        self._changed = threading.Condition()
        self._rules = {}
        self._calls = {}

    def set_rules(self, region, rules):
        """Replaces the rules of a region, and lets go of the answers that are held."""
        with self._changed:
            self._rules[region] = [{"skip": 0, "times": 1, **rule} for rule in rules]
            self._changed.notify_all()

    def calls(self, region):
        """Returns the actions called in a region so far, in order."""
        with self._changed:
            return list(self._calls.get(region, []))

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if TEST_AGENT in environ.get("HTTP_USER_AGENT", ""):
            return self._pass_on(environ, start_response)
        request = dict(urllib.parse.parse_qsl(body.decode()))
        action = request.get("Action", "?")
        region = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "Credential=?/?/?/"))[1]
        rule = self._note(region, action)
        match rule and rule["fault"]:
            case None:
                return self._pass_on(environ, start_response)
            case "throttled":
                return _refuse(start_response, "503 Busy", "RequestLimitExceeded", "Request limit exceeded.")
            case "broken":
                return _refuse(start_response, "500 Error", "InternalError", "An internal error has occurred")
            case "refused":
                return _refuse(start_response, "400 Refused", rule["code"], rule["message"])
            case "blind":
                return _see_nothing(start_response, action, request)
            case "lost" | "held":
                # What is held is done already; a client that gives up meanwhile finds it so.
                self._pass_on(environ, lambda *_: None)
                if rule["fault"] == "held":
                    self._hold(region, rule)
                environ["werkzeug.socket"].shutdown(SHUT_RDWR)
                start_response("200 Lost", [])
                return []
            case unknown:
                raise ValueError(f"no such fault: {unknown}")

    def _pass_on(self, environ, start_response):
        with self._one_at_a_time:
            return list(self._application(environ, start_response))

    def _note(self, region, action):
        """Writes a call down and returns the rule that breaks it, if any."""
        with self._changed:
            self._calls.setdefault(region, []).append(action)
            rules = self._rules.get(region, [])
            broken_by = next((rule for rule in rules if _applies(rule, action)), None)
            for rule in rules:
                if rule.get("since") == action:
                    del rule["since"]
            return broken_by

    def _hold(self, region, rule):
        with self._changed:
            self._changed.wait_for(lambda: rule not in self._rules[region], HOLD_SECONDS)


def _applies(rule, action):
    if "since" in rule or not fnmatch.fnmatchcase(action, rule["action"]):
        return False
    if rule["skip"] > 0:
        rule["skip"] -= 1
        return False
    rule["times"] -= 1
    return rule["times"] >= 0


def _refuse(start_response, status, code, message):
    start_response(status, [("Content-Type", "text/xml")])
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return [f"<Response><Errors>{error}</Errors><RequestID>00000000-fa17</RequestID></Response>".encode()]


def _see_nothing(start_response, action, request):
    name, code = SETS[action]
    if any(IDS.fullmatch(parameter) for parameter in request):
        return _refuse(start_response, "400 Refused", code, "It does not exist")
    start_response("200 OK", [("Content-Type", "text/xml")])
    return [f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><{name}/></{action}Response>'.encode()]
