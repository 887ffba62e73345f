"""Ground truth of every domain from an image, its geometry and its camera."""

import cv2

# Labels are made by many processes side by side; threads inside each would only fight, and one thread gives the same bits everywhere.
cv2.setNumThreads(1)
