"""The versioned JSON API: operations that describe themselves, and the OpenAPI document made of them."""
