# The smallest browser that WebKitWebDriver can drive with a profile that stays: that of MiniBrowser ends with the process.
#
#   python3 webkit-browser.py [--profile=FOLDER]
import os
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402


def data_manager(arguments):
    """The place of the profile; in memory if no folder is given."""
    profile = next((text.split("=", 1)[1] for text in arguments if text.startswith("--profile=")), None)
    if profile is None:
        return WebKit2.WebsiteDataManager.new_ephemeral()
    return WebKit2.WebsiteDataManager(
        base_data_directory=os.path.join(profile, "data"),
        base_cache_directory=os.path.join(profile, "cache"),
    )


context = WebKit2.WebContext.new_with_website_data_manager(data_manager(sys.argv[1:]))
# With a back/forward cache, as browsers have it.
context.set_cache_model(WebKit2.CacheModel.WEB_BROWSER)
context.set_automation_allowed(True)
# Windows without a reference may be garbage collected.
windows = []


def new_view(_session):
    view = WebKit2.WebView(web_context=context, is_controlled_by_automation=True)
    window = Gtk.Window()
    window.set_default_size(1024, 768)
    window.add(view)
    view.connect("close", lambda _view: window.destroy())
    window.connect("destroy", windows.remove)
    windows.append(window)
    window.show_all()
    view.load_uri("about:blank")
    return view


def on_session(_context, session):
    info = WebKit2.ApplicationInfo()
    info.set_name("webkit")
    info.set_version(WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version())
    session.set_application_info(info)
    session.connect("create-web-view", new_view)


context.connect("automation-started", on_session)
Gtk.main()
