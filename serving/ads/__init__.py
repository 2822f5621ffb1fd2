"""Ads: ranked by what a thousand shows would bring, priced by the next one, within budgets, caps and safety."""
