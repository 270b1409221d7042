import numpy as np
import pytest

from affecthub.media.container import MediaError
from affecthub.media.pictures import decode_image, encode_image


@pytest.mark.parametrize("kept", [0, 40])
def test_a_damaged_stored_picture_is_refused_in_a_sentence(kept):
    content = encode_image(np.zeros((8, 8, 3), np.uint8))[:kept]
    with pytest.raises(MediaError, match=rf"stored picture of {kept} bytes is damaged; prepare"):
        decode_image(content)
