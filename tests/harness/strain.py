"""A page in a browser set up for somebody's eyes: few colours of their own, letters twice as large.

The checks run in the page and give what is wrong in words.
"""

from playwright.async_api import Page

_TOOLS = """
  const wrong = [];
  const hidden = "svg, noscript, script, thead, .usa-sr-only";
  const shown = (one) => one.checkVisibility({ visibilityProperty: true })
    && one.getBoundingClientRect().width > 1;
  const all = (chosen) => [...document.querySelectorAll(chosen)].filter(shown);
  const said = (one) => one.outerHTML.replace(/\\s+/g, " ").slice(0, 110);
"""
_FORCED = f"""
() => {{
  {_TOOLS}
  if (!matchMedia("(forced-colors: active)").matches) wrong.push("no colours are forced");
  const has = (style, what) => style[`${{what}}Style`] !== "none"
    && parseFloat(style[`${{what}}Width`]) > 0;

  const edged = "button, a.usa-button, input:not([type=checkbox], [type=radio]), select, textarea";
  for (const one of all(edged)) {{
    if (one.matches(".usa-button--unstyled") || one.closest(".swagger-ui")) continue;
    if (!has(getComputedStyle(one), "borderTop")) wrong.push(`has no edge: ${{said(one)}}`);
  }}

  for (const one of all("a[href], button, input, select, textarea, summary, [tabindex='0']")) {{
    one.focus();
    const label = one.nextElementSibling;  // a box is drawn before the label of some inputs
    const shows = has(getComputedStyle(one), "outline")
      || (label?.tagName === "LABEL" && has(getComputedStyle(label, "::before"), "outline"));
    if (one.matches(":focus") && !shows) wrong.push(`its focus is not seen: ${{said(one)}}`);
  }}
  document.activeElement.blur();

  const light = (color) => {{
    const parts = color.match(/[\\d.]+/g)?.map(Number);
    if (!parts || parts[3] === 0) return null;
    const [r, g, b] = parts.slice(0, 3).map((part) => (part / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }};
  const behind = (one) => one === null ? 1
    : light(getComputedStyle(one).backgroundColor) ?? behind(one.parentElement);
  const apart = (one, other) => one !== null
    && (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) >= 3;
  for (const drawing of all("svg:not(.swagger-ui *)")) {{
    const paper = behind(drawing);
    const shapes = [...drawing.querySelectorAll("rect, circle, path, line, polygon, text")];
    const unseen = shapes.filter((one) => {{
      const {{ fill, stroke }} = getComputedStyle(one);
      return !apart(light(fill), paper) && !apart(light(stroke), paper);
    }});
    const lost = unseen.length === shapes.length || unseen.some((one) => one.matches("text"));
    if (shapes.length > 0 && lost) wrong.push(`is not seen: ${{said(drawing)}}`);
  }}
  return wrong;
}}
"""
_LARGE = f"""
() => {{
  {_TOOLS}
  const root = document.documentElement;
  root.style.fontSize = "200%";
  const over = root.scrollWidth - root.clientWidth;
  if (over > 0) {{
    const far = all("body *").filter((one) => !one.closest(hidden)
      && one.getBoundingClientRect().right > root.clientWidth);
    wrong.push(`scrolls sideways by ${{over}} px, with ${{far.slice(0, 2).map(said)}}`);
  }}

  const texts = (one) => {{
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {{
      const place = text.parentElement;
      if (!text.data.trim() || place.closest(hidden) || !shown(place)) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      found.push(...range.getClientRects());
    }}
    return found;
  }};
  const boxes = "button, .usa-button, .usa-tag, label, legend, summary, h1, h2, h3, th, td, dt, dd";
  for (const one of all(boxes)) {{
    const {{ display, fontSize }} = getComputedStyle(one);
    if (display === "inline" || one.closest(`${{hidden}}, [tabindex='0']`)) continue;
    const box = one.getBoundingClientRect();
    const rise = parseFloat(fontSize) / 4;  // a letter's box is higher than its line
    const cut = texts(one).some((text) => text.right > box.right + 2 || text.left < box.left - 2
      || text.bottom > box.bottom + rise || text.top < box.top - rise);
    if (cut) wrong.push(`is larger than its box: ${{said(one)}}`);
  }}

  const apart = all("a[href], button, label, summary, input, select, textarea, h1, h2, h3")
    .filter((one) => !one.closest(hidden))
    .flatMap((one) => [...one.getClientRects()].map((place) => [one, place]));
  apart.forEach(([one, a], at) => apart.slice(at + 1).forEach(([other, b]) => {{
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide <= 2 || high <= 4 || one.contains(other) || other.contains(one)) return;
    wrong.push(`lies over another: ${{said(one)}} and ${{said(other)}}`);
  }}));
  root.style.fontSize = "";
  return wrong;
}}
"""


async def forced_colour_faults(page: Page) -> list[str]:
    """Give what is lost where the browser paints in few colours, bright ones on black."""
    await page.emulate_media(forced_colors="active", color_scheme="dark")
    found = await page.evaluate(_FORCED)
    await page.emulate_media(forced_colors="none", color_scheme="light")
    return [f"in forced colours: {one}" for one in found]


async def large_text_faults(page: Page) -> list[str]:
    """Give what is cut off or covered at the present width when letters are twice as large."""
    return [f"in large letters: {one}" for one in await page.evaluate(_LARGE)]
