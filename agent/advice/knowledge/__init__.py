"""The words of every rule, in English and Chinese, as data: a check fills the {placeholders} with its figures."""
