"""Money: the currencies of ISO 4217, and amounts as whole millionths, so that no sum is ever rounded."""

from decimal import Decimal

from feature_store.errors import BadInput

MICROS = 1_000_000  # of one unit of a currency
LARGEST_MICROS = 2**53 - 1  # about 9 * 10^9 units: what JSON readers and Lua count to exactly

_MICRO = Decimal("0.000001")
_LARGEST = LARGEST_MICROS * _MICRO

# The currencies and funds of ISO 4217 (list one, 2024), without metals, testing codes and bond units.
_LISTED = """

    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
    CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD
    HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
    MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR
    RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
    UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF XSU XUA YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_LISTED.split())


def micros(amount: Decimal) -> int:
    """The amount in millionths of its currency; raises `BadInput` where that is no whole number, or too large a one.

    >>> micros(Decimal("0.35"))
    350000
    """
    # Decimals compare exactly; arithmetic, abs() too, would round to the digits of its context, or overflow it.
    if amount.is_finite() and -_LARGEST <= amount <= _LARGEST:
        whole = amount.quantize(_MICRO)
        if whole == amount:
            return int(whole.scaleb(6))
    raise BadInput(
        f"an amount of money has at most 6 decimal places and is at most {LARGEST_MICROS // MICROS:,}; got {amount}"
    )
