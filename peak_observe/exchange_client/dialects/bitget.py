"""Error vocabulary of Bitget: spot, margin, futures, the unified account, and the codes of the first version."""

from __future__ import annotations

from peak_observe.exchange_client.dialects.dialect import (
    AUTH,
    CLOCK,
    DUPLICATE,
    LIMITED,
    MAINTENANCE,
    REJECTED,
    UNSURE,
    Dialect,
    codes,
    json_codes,
    phrase,
)

DIALECT = Dialect(
    sources=(
        "https://www.bitget.com/api-doc/spot/error-code/restapi",
        "https://www.bitget.com/api-doc/contract/error-code/restapi",
        "https://www.bitget.com/api-doc/margin/error-code/restapi",
        "https://www.bitget.com/api-doc/uta/error-code/restapi",
    ),
    # The parts of a batch that failed have theirs in `failureList`.
    patterns=(json_codes("code", "err_code"), json_codes("errorCode")),
    fine=frozenset(("00000",)),
    rules={
        # 40010 "request timed out", 40725 "service return an error", 45001 "unknown error", 40909 "processing".
        **codes(UNSURE, "1 500 01001 25000 25001 25003 30009 30030 32047 40010 40015 40604 40725 40782 40788 40908"),
        **codes(UNSURE, "40909 40910 43059 43137 45001 49040 50008 50031 80002"),
        **codes(LIMITED, "429 1001 25004 25572 30014 30026 34026 40918 45129 50009 59044 70228"),
        **codes(MAINTENANCE, "25102 25106 30019 30037 30038 40200 40308 40844 41114 45043 50027"),
        **codes(CLOCK, "30005 30008 40004 40005 40008 40078"),
        **codes(
            AUTH, "30012 40001 40002 40003 40006 40009 40011 40012 40013 40014 40016 40018 40024 40026 40036 40037"
        ),
        **codes(AUTH, "40038 40040 40041 40710"),
        **codes(REJECTED, "40842 40878 43002 43003 45023 45024 70229"),
        **codes(DUPLICATE, "25212 40786 43118 45034 50060"),
    },
    phrases=(
        phrase(r"system exception|gateway internal error|ring-balancer|系统异常", UNSURE),
        phrase(r"req_time is too much difference", CLOCK),
        phrase(r"Request Frequency Is Too High", LIMITED),
    ),
    container="data",
)
