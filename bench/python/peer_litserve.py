"""The LitServe API of peers.py."""

import litserve

from peers import open_session, run


class Peer(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session()

    def decode_request(self, request):
        return request["data"]

    def predict(self, values):
        return run(self.session, values)

    def encode_response(self, result):
        return {"y": result.ravel().tolist()}
