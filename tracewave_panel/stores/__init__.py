"""What keeps findings and lets readers follow them."""
