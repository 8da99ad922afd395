"""What is wrong with a page as a browser shows it: its shape, and what axe finds."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RUN_AXE = """
async (levels) => {
  const runOnly = { type: "tag", values: levels };
  const { violations } = await axe.run({ runOnly, reporter: "v1", resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => {
    const why = node.failureSummary.split(/\\s+/).join(" ");
    return `${id}: ${node.html.slice(0, 120)} (${why.slice(0, 200)})`;
  }));
}
"""


async def shape_faults(page: Page) -> list[str]:
    """Give what is wrong with a page's shape at its present width."""
    found = await page.evaluate(
        """() => ({
          headings: document.querySelectorAll("h1").length,
          language: document.documentElement.lang,
          title: document.title,
          over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
          widest: [...document.body.querySelectorAll("*")]
            .map((one) => [one.getBoundingClientRect().right, one.outerHTML.slice(0, 90)])
            .sort((a, b) => b[0] - a[0])[0],
        })"""
    )
    wrong = []
    if found["headings"] != 1:
        wrong.append(f"{found['headings']} first headings")
    if found["over"] > 0:
        wrong.append(f"scrolls sideways by {found['over']} px, as far as {found['widest'][1]}")
    if not found["title"] or not found["language"]:
        wrong.append("has no title or no language")
    return wrong


async def axe_faults(page: Page) -> list[str]:
    """Give what axe finds against WCAG 2.2, levels A and AA, with the elements concerned."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    return list(await page.evaluate(_RUN_AXE, LEVELS))
