"""The Panel application: state, views and the page that holds them."""
