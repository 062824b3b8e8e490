"""Converts temperatures: GET /celsius/100 answers {"celsius": 100.0, "fahrenheit": 212.0}."""
import os

from bottle import Bottle, __version__, run

app = Bottle()


@app.get("/")
def home():
    return f"Temperatures, by bottle {__version__}: try /celsius/100\n"


@app.get("/celsius/<degrees:float>")
def celsius(degrees):
    return {"celsius": degrees, "fahrenheit": degrees * 9 / 5 + 32}


run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
