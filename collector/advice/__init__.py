"""What only the fleet's view can tell: relays and hubs, differences between siblings, whether a change helped. Pure."""
