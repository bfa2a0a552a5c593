"""Fit the polynomials of math.hpp, and print them as it holds them: python csrc/core/fit_math.py

Each is the minimax polynomial of its degree for a weighted error, by Remez' exchange in 60 digits
(mpmath), its coefficients rounded to the type. The bits above one are its error before they are.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]


def minimax(
    f: Function, weight: Function, low: mp.mpf, high: mp.mpf, terms: int
) -> tuple[list[mp.mpf], mp.mpf]:
    """Find the coefficients c that minimise max weight |f - sum c_k x^k|, and that error."""
    middle, half = (low + high) / 2, (high - low) / 2
    # Neither meets the middle, where a weight may vanish.
    points = [middle - half * mp.cos(mp.pi * (k + 0.3) / (terms + 0.7)) for k in range(terms + 1)]
    grid = [middle - half * mp.cos(mp.pi * k / 1001) for k in range(1002)]
    for _ in range(10):
        rows = [
            [x**k for k in range(terms)] + [(-1) ** i / weight(x)] for i, x in enumerate(points)
        ]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([f(x) for x in points]))
        c = list(solved)[:terms]

        errors = [(x, weight(x) * (f(x) - mp.polyval(c[::-1], x))) for x in grid if weight(x) > 0]
        # One extremum from each stretch of one sign.
        points = []
        stretch: list[tuple[mp.mpf, mp.mpf]] = []
        for x, e in [*errors, (high, -errors[-1][1])]:
            if stretch and (stretch[-1][1] > 0) != (e > 0):
                points.append(max(stretch, key=lambda pair: abs(pair[1]))[0])
                stretch = []
            stretch.append((x, e))
        if len(points) != terms + 1:
            raise ArithmeticError(f"{len(points)} extrema where {terms + 1} are wanted")
    return c, max(abs(e) for _, e in errors)


def literal(value: mp.mpf, bits: int, rounded: Function = mp.nint) -> str:
    """Round to the type and write in hexadecimal, so that nobody rounds it again."""
    mantissa, exponent = mp.frexp(value)
    text = float(mp.ldexp(rounded(mp.ldexp(mantissa, bits)), int(exponent) - bits)).hex()
    return text if bits == 53 else text.replace("0000000p", "p") + "f"


def near_zero(f: Function, series: list[mp.mpf]) -> Function:
    """Take the series where the formula for f would divide 0 by 0."""
    return lambda x: mp.polyval(series[::-1], x) if abs(x) < mp.mpf(10) ** -12 else f(x)


def show(
    name: str, bits: int, f: Function, weight: Function, low: object, high: object, terms: int
) -> None:
    """Fit and print one polynomial."""
    c, error = minimax(f, weight, mp.mpf(low), mp.mpf(high), terms)
    print(f"// {name}, float{32 if bits == 24 else 64}: {float(-mp.log(error, 2)):.1f} bits")
    print("{" + ", ".join(literal(x, bits) for x in c) + "}\n")


def main() -> None:
    """Print every constant."""
    ln2 = mp.log(2)
    half = ln2 / 2 * mp.mpf("1.0001")
    for bits, kept in ((24, 16), (53, 42)):
        # Rounded down, so that both parts are positive.
        high = mp.floor(ln2 * mp.mpf(2) ** kept) / mp.mpf(2) ** kept
        print(
            f"// log2(e), ln 2 in two parts: {literal(1 / ln2, bits)}, {literal(high, bits)}, "
            f"{literal(ln2 - high, bits)}\n"
        )

        # Results from the least normal number to below the first that rounds to infinity.
        least, most = (-126, 128) if bits == 24 else (-1022, 1024)
        top = most * ln2 + mp.log1p(-(mp.mpf(2) ** (-bits - 1)))
        ends = literal(least * ln2, bits, mp.ceil), literal(top, bits, mp.floor)
        print(f"// exp is normal and finite from {ends[0]} to {ends[1]}\n")

    tail = near_zero(
        lambda r: (mp.exp(r) - 1 - r) / r**2, [mp.mpf(1) / mp.factorial(k + 2) for k in range(5)]
    )
    for bits, terms in ((24, 5), (53, 10)):
        show("(e^r - 1 - r) / r^2", bits, tail, lambda r: r**2 / mp.exp(r), -half, half, terms)

    curve = near_zero(
        lambda f: (mp.log1p(f) - f) / f**2, [(-1) ** (k + 1) / mp.mpf(k + 2) for k in range(5)]
    )
    show("(log(1 + f) - f) / f^2", 24, curve, lambda f: f**2 / abs(mp.log1p(f)), -0.25, 0.5, 8)

    # In u = s - c, from the middle of its range: even and odd terms then do not cancel.
    slope = near_zero(lambda s: mp.log1p(s) / s, [(-1) ** k / mp.mpf(k + 1) for k in range(5)])
    for c, terms in ((0.5, 9), (1, 12)):
        show(
            f"log(1 + s) / s around {c}",
            24,
            lambda u, c=c: slope(u + c),
            lambda u, c=c: 1 / slope(u + c),
            -c,
            c,
            terms,
        )

    # log((1 + t/2) / (1 - t/2)) = t + t z P(z), where z = t^2.
    def bend(z: mp.mpf) -> mp.mpf:
        t = mp.sqrt(z)
        return (2 * mp.atanh(t / 2) / t - 1) / z

    bent = near_zero(bend, [mp.mpf(1) / ((2 * k + 3) * mp.mpf(4) ** (k + 1)) for k in range(4)])
    for name, high, terms in (
        ("m in 3/4..3/2", 0.16, 7),
        ("s to 1", mp.mpf(4) / 9, 9),
        ("s to 2", 1, 12),
    ):
        show(f"(log - t) / t^3, {name}", 53, bent, lambda z: z / (1 + z * bent(z)), 0, high, terms)


if __name__ == "__main__":
    main()
