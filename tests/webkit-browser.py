# The smallest browser that WebKitWebDriver can drive with a profile that stays: that of MiniBrowser ends with the process.
#
#   python3 webkit-browser.py [--profile=FOLDER] [--reduced-motion] [--watch-console]
import os
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402


# The driver tells nothing of the console, so the page collects its errors in `consoleErrors`.
WATCH_CONSOLE = """
  window.consoleErrors = [];
  const { error } = console;
  console.error = (...items) => {
    consoleErrors.push(items.map(String).join(" "));
    error.apply(console, items);
  };
  window.addEventListener("error", ({ message, target }) => consoleErrors.push(message ?? `${target.outerHTML} failed`), true);
  window.addEventListener("unhandledrejection", ({ reason }) => consoleErrors.push(String(reason)));
"""


def option(name):
    """The value of an option, or None."""
    return next((text.split("=", 1)[1] for text in sys.argv if text.startswith(f"--{name}=")), None)


def data_manager():
    """The place of the profile; in memory if no folder is given."""
    profile = option("profile")
    if profile is None:
        return WebKit2.WebsiteDataManager.new_ephemeral()
    return WebKit2.WebsiteDataManager(
        base_data_directory=os.path.join(profile, "data"),
        base_cache_directory=os.path.join(profile, "cache"),
    )


context = WebKit2.WebContext.new_with_website_data_manager(data_manager())
# With a back/forward cache, as browsers have it.
context.set_cache_model(WebKit2.CacheModel.WEB_BROWSER)
context.set_automation_allowed(True)
if "--reduced-motion" in sys.argv:
    Gtk.Settings.get_default().set_property("gtk-enable-animations", False)
content = WebKit2.UserContentManager()
if "--watch-console" in sys.argv:
    frames = WebKit2.UserContentInjectedFrames.ALL_FRAMES
    start = WebKit2.UserScriptInjectionTime.START
    content.add_script(WebKit2.UserScript.new(WATCH_CONSOLE, frames, start, None, None))
# Windows without a reference may be garbage collected.
windows = []


def new_view(_session):
    view = WebKit2.WebView(web_context=context, user_content_manager=content, is_controlled_by_automation=True)
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
