"""One file a page: widgets -> table -> figure."""
