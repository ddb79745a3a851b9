"""The grid operator's public files, as NYISO's server has them."""
