import httpx

from tests.fake_assembly import fake_assembly
from voice_agent.api.app import create_app
from voice_agent.settings import Settings


def client(settings: Settings | None = None) -> httpx.AsyncClient:
    app = create_app(settings or Settings(), fake_assembly(settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app, client=("127.0.0.1", 1)), base_url="http://127.0.0.1:8000")


async def test_an_unknown_path_is_told_in_the_envelope() -> None:
    async with client() as http:
        answer = await http.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert answer.json()["error"]["code"] == "not_found"
