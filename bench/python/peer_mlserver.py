"""The MLServer runtime of peers.py."""

from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

from peers import open_session, run


class Peer(MLModel):
    async def load(self):
        self.session = open_session()
        return True

    async def predict(self, payload):
        result = run(self.session, payload.inputs[0].data.root)
        output = ResponseOutput(name="y", datatype="FP32", shape=list(result.shape), data=result.ravel().tolist())
        return InferenceResponse(model_name=self.name, outputs=[output])
