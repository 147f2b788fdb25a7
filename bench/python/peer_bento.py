"""The BentoML service of peers.py."""

import bentoml

from peers import open_session, run


@bentoml.service(workers=1)
class Peer:
    def __init__(self):
        self.session = open_session()

    @bentoml.api
    def predict(self, data: list[float]) -> list[float]:
        return run(self.session, data).ravel().tolist()
