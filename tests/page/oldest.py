"""Opens a page in QtWebEngine 5.15, which is Chromium 87 of late 2020, and prints what a piece of
JavaScript yields there once that is not null: oldest.py URL EXPRESSION"""

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QT_QUICK_BACKEND"] = "software"
# CI is root, for whom Chromium has no sandbox.
os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--disable-gpu --no-sandbox --no-zygote"

from PyQt5.QtCore import QTimer, QUrl
from PyQt5.QtWebEngineWidgets import QWebEngineView
from PyQt5.QtWidgets import QApplication

url, expression = sys.argv[1:]
application = QApplication([])
view = QWebEngineView()
view.resize(1280, 800)
view.load(QUrl(url))
view.show()


def found(value):
    if value is not None:
        print(json.dumps(value, ensure_ascii=False))
        application.quit()


timer = QTimer()
timer.timeout.connect(lambda: view.page().runJavaScript(expression, found))
timer.start(500)
QTimer.singleShot(60_000, lambda: application.exit(1))
sys.exit(application.exec_())
