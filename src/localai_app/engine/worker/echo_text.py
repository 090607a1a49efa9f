"""The text that the echo back end streams: Markdown with everything that an answer of a model can hold."""

from __future__ import annotations

SAMPLE_SECTIONS = (
    """# Brewing coffee

Coffee is made by letting water **extract** what is soluble in the *ground beans*. Three things decide the
result: the grind, the temperature and the time. A finer grind gives more surface, hotter water dissolves
faster, and both shorten the time that is needed. ☕""",
    """## Steps

1. Weigh `18 g` of beans and grind them.
2. Heat the water to about 93 °C.
3. Pour in circles:
   - first 50 g, and wait for 30 seconds;
   - then the rest, slowly.
4. Serve at once 🙂, or keep it warm for at most *twenty* minutes.""",
    """## Comparison

| Method | Grind | Time | Taste |
|---|---|---:|---|
| Espresso | fine | 0:28 | strong, syrupy |
| Pour-over | medium | 3:00 | clear, bright |
| French press | coarse | 4:00 | full, heavy |
| Cold brew | coarse | 12:00:00 | mild, sweet |""",
    """## A little program

```python
def ratio(coffee_g: float, water_g: float) -> str:
    \"\"\"The brewing ratio, as people write it.\"\"\"
    if coffee_g <= 0:
        raise ValueError("no coffee")
    return f"1:{water_g / coffee_g:.1f}"


print(ratio(18, 300))  # 1:16.7
```

The same on a shell:

```sh
echo "scale=1; 300/18" | bc
```""",
    """## What others say

> A good cup begins with fresh beans.
>
> — somebody in *Äthiopien*, 日本語でも: 「新鮮な豆」 🇪🇹👩‍🌾

The extraction yield is $E = \\frac{TDS \\cdot m_{drink}}{m_{dose}}$, which lies between 18 and 22 % in most cups.
See also [the comparison](#comparison). ~~Boiling water~~ is too hot.""",
)
